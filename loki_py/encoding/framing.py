"""Split bytes into checked frames and join frames into bytes.

Format (docs/formats/README.md):

    frame  := length:u32le  kind:u32le  payload_crc:u32le  header_crc:u32le
              payload:u8[length]  zeros:u8[to a multiple of 8]

`length` counts the payload without the zeros. `payload_crc` is the CRC-32C of
payload and zeros. `header_crc` is the CRC-32C of the 12 bytes before it,
continued from `seed`, a number of the file's own: a frame of another file, or
bytes of a log line that look like a frame, are no frame here.

Because the header has a checksum of its own, a reader that meets a changed
payload knows where the next frame starts, and one that meets a changed header
knows not to trust its length.

Pure: bytes in, bytes out. Shared by the WAL and by block files.

Invariants:
- Frames start at multiples of 8 from where the first one starts, so that Arrow
  columns inside can be used where they lie.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from loki_py.encoding.checksum import Buffer, crc32c, crc32c_of_all
from loki_py.errors import BadChecksum, CorruptData, TruncatedData

FRAME_ALIGNMENT = 8
FRAME_HEADER_BYTES = 16
FRAME_PAYLOAD_BYTES_MAX = 256 << 20
"""No payload is longer; a length beyond it is refused before it is used."""

FRAME_KIND_MIN = 1
"""Kind 0 is never used, so that zeros are no frame."""

FRAME_KIND_MAX = 255

_CHECKED = struct.Struct("<III")
_HEADER = struct.Struct("<IIII")
_U32 = struct.Struct("<I")
_SEARCH_STEP_BYTES = 1 << 20


class Frame(NamedTuple):
    """One good frame.

    Attributes:
        offset: where its header starts.
        kind: what its payload is; numbered by the format that uses frames.
        payload: a pyarrow Buffer on the reader's bytes, not a copy.
        end: where the next frame starts.
    """

    offset: int
    kind: int
    payload: Buffer
    end: int


class Damaged(NamedTuple):
    """Bytes that are no good frame, between good ones or at the end.

    Attributes:
        offset: where they start.
        end: where the next good frame, or the end of the bytes, is.
        reason: what is wrong, with numbers.
        torn: the bytes end inside the frame or are all zeros: what a write
            leaves that was cut off, and nothing follows.
    """

    offset: int
    end: int
    reason: str
    torn: bool


def frame_bytes(payload_bytes: int) -> int:
    """Return how long the frame of a payload is."""
    return FRAME_HEADER_BYTES + payload_bytes + -payload_bytes % FRAME_ALIGNMENT


def encode_frame(kind: int, payload: Sequence[Buffer], *, seed: int) -> list[Buffer]:
    """Return the buffers of one frame; the payload's are passed on, not copied."""
    assert FRAME_KIND_MIN <= kind <= FRAME_KIND_MAX
    length = sum(map(len, payload))
    assert length <= FRAME_PAYLOAD_BYTES_MAX
    buffers = list(payload)
    if length % FRAME_ALIGNMENT:
        buffers.append(bytes(-length % FRAME_ALIGNMENT))
    checked = _CHECKED.pack(length, kind, crc32c_of_all(buffers))
    header = checked + _U32.pack(crc32c(checked, seed=seed))
    return [header, *buffers]


def decode_frame(buffer: Buffer, offset: int, *, seed: int) -> Frame:
    """Return the frame that starts at `offset` of a pyarrow Buffer.

    Raises:
        TruncatedData: the buffer ends inside the frame.
        BadChecksum: header or payload changed; `iter_frames_or_damage` goes on
            behind either.
    """
    frame, payload_crc = frame_at(buffer, offset, seed=seed)
    start = offset + FRAME_HEADER_BYTES
    found = crc32c(buffer.slice(start, frame.end - start))
    if found != payload_crc:
        raise BadChecksum(
            f"frame at byte {offset} has checksum {found:08x}, not {payload_crc:08x}"
        )
    return frame


def frame_at(buffer: Buffer, offset: int, *, seed: int) -> tuple[Frame, int]:
    """Return the frame that starts at `offset`, and what its payload's CRC should be.

    For readers that have checksums of parts of the payload, and compare those.

    Raises:
        TruncatedData: the buffer ends inside the frame.
        BadChecksum: the header changed.
    """
    length, kind, payload_crc = _checked_header(buffer, offset, seed=seed)
    start, end = offset + FRAME_HEADER_BYTES, offset + frame_bytes(length)
    if end > len(buffer):
        raise TruncatedData(
            f"frame at byte {offset} wants {end - offset} bytes, "
            f"{len(buffer) - offset} remain"
        )
    return Frame(offset, kind, buffer.slice(start, length), end), payload_crc


def iter_frames_or_damage(
    buffer: Buffer, *, offset: int = 0, seed: int
) -> Iterator[Frame | Damaged]:
    """Yield every good frame from `offset` on, and what lies between them.

    The yielded spans [offset, end) cover the bytes without gap or overlap.
    """
    buffer = pa.py_buffer(buffer)
    while offset < len(buffer):
        try:
            item: Frame | Damaged = decode_frame(buffer, offset, seed=seed)
        except CorruptData as error:
            item = _damage(buffer, offset, str(error), seed=seed)
        yield item
        offset = item.end


def find_frame(buffer: Buffer, offset: int, *, seed: int) -> int | None:
    """Return where the first good frame at or after `offset` starts.

    `offset` is a multiple of FRAME_ALIGNMENT away from a frame's start. Cost is
    a few vectorised passes over the bytes, not a step per byte.
    """
    buffer = pa.py_buffer(buffer)
    while len(buffer) - offset >= FRAME_HEADER_BYTES:
        end = min(offset + _SEARCH_STEP_BYTES, len(buffer) - 8)
        words = np.frombuffer(buffer, "<u4", 2 * ((end - offset) // 8), offset)
        lengths, kinds = words[0::2], words[1::2]
        likely = lengths <= len(buffer) - offset
        likely &= (kinds >= FRAME_KIND_MIN) & (kinds <= FRAME_KIND_MAX)
        for position in (np.flatnonzero(likely) * 8 + offset).tolist():
            try:
                decode_frame(buffer, position, seed=seed)
            except CorruptData:
                continue
            return int(position)
        offset += len(lengths) * 8
    return None


def _checked_header(buffer: Buffer, offset: int, *, seed: int) -> tuple[int, int, int]:
    """Return length, kind and payload checksum of the header at `offset`."""
    if len(buffer) - offset < FRAME_HEADER_BYTES:
        raise TruncatedData(
            f"frame header at byte {offset} wants {FRAME_HEADER_BYTES} bytes, "
            f"{len(buffer) - offset} remain"
        )
    length, kind, payload_crc, header_crc = _HEADER.unpack_from(buffer, offset)
    found = crc32c(buffer.slice(offset, _CHECKED.size), seed=seed)
    if found != header_crc:
        raise BadChecksum(
            f"frame header at byte {offset} has checksum {found:08x}, "
            f"not {header_crc:08x}"
        )
    if length > FRAME_PAYLOAD_BYTES_MAX:
        raise CorruptData(
            f"frame at byte {offset} is {length} bytes; "
            f"limit is {FRAME_PAYLOAD_BYTES_MAX}"
        )
    return length, kind, payload_crc


def _damage(buffer: Buffer, offset: int, reason: str, *, seed: int) -> Damaged:
    try:
        length, _, _ = _checked_header(buffer, offset, seed=seed)
    except CorruptData:
        pass
    else:
        # The length can be trusted: what was lost ends where it says.
        end = offset + frame_bytes(length)
        return Damaged(offset, min(end, len(buffer)), reason, end > len(buffer))
    found = find_frame(buffer, offset + FRAME_ALIGNMENT, seed=seed)
    if found is not None:
        return Damaged(offset, found, reason, torn=False)
    cut_short = len(buffer) - offset < FRAME_HEADER_BYTES
    torn = cut_short or not np.frombuffer(buffer, np.uint8, offset=offset).any()
    return Damaged(offset, len(buffer), reason, torn)
