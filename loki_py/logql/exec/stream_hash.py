"""The hash by which Loki orders streams that have samples at the same time.

Clients see it in `first_over_time` and `last_over_time` over several streams.
It is XXH64 (seed 0) of each label's name and value, each followed by 0xff.
"""

from loki_py.model.labels import LabelSet

_MASK = (1 << 64) - 1
_P1 = 0x9E3779B185EBCA87
_P2 = 0xC2B2AE3D27D4EB4F
_P3 = 0x165667B19E3779F9
_P4 = 0x85EBCA77C2B2AE63
_P5 = 0x27D4EB2F165667C5


def stream_hash(labels: LabelSet) -> int:
    """Return the unsigned 64-bit hash of a label set."""
    parts = (part for pair in labels.pairs for part in pair)
    return xxh64(b"".join(part.encode() + b"\xff" for part in parts))


def xxh64(data: bytes) -> int:
    """Return XXH64 of the bytes, seed 0."""
    at, size = 0, len(data)
    value = _P5
    if size >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        while at + 32 <= size:
            for lane in range(4):
                lanes[lane] = _round(lanes[lane], _word(data, at + 8 * lane, 8))
            at += 32
        shifts = zip(lanes, (1, 7, 12, 18), strict=True)
        value = sum(_rotated(lane, shift) for lane, shift in shifts) & _MASK
        for lane in lanes:
            value = ((value ^ _round(0, lane)) * _P1 + _P4) & _MASK
    value = (value + size) & _MASK
    while at + 8 <= size:
        value ^= _round(0, _word(data, at, 8))
        value = (_rotated(value, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= size:
        value ^= _word(data, at, 4) * _P1 & _MASK
        value = (_rotated(value, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        value = _rotated(value ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    value = (value ^ (value >> 33)) * _P2 & _MASK
    value = (value ^ (value >> 29)) * _P3 & _MASK
    return value ^ (value >> 32)


def _word(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _rotated(value: int, by: int) -> int:
    return ((value << by) | (value >> (64 - by))) & _MASK


def _round(lane: int, word: int) -> int:
    return _rotated((lane + word * _P2) & _MASK, 31) * _P1 & _MASK
