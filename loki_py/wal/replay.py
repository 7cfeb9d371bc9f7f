"""Read a WAL folder back after a stop or a crash; set damage aside.

Does I/O: maps one segment at a time. Whether bytes are records is decided by
`wal.segment`.

Guarantees:
- Every record that was acknowledged and has not been changed since comes back,
  in the order in which it was written.
- Changed bytes are copied to `quarantine/` in the folder, the rest is replayed.
  A torn tail, which was never acknowledged, is cut off.
- Replaying twice gives the same records twice.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from loki_py.encoding.framing import Damaged
from loki_py.errors import CorruptData, UnknownVersion
from loki_py.wal.records import EntriesRecord, RecordKind, SeriesRecord
from loki_py.wal.segment import decode, iter_records_or_damage
from loki_py.wal.segment_file import segment_numbers, segment_path, sync_folder

QUARANTINE_FOLDER = "quarantine"
REASONS_MAX = 100


@dataclass(slots=True)
class ReplayStats:
    """What a replay found; complete once its iterator is exhausted.

    Attributes:
        bytes: length of the segments read.
        torn_bytes: at the ends of segments, from writes that were cut off and
            never acknowledged.
        quarantined: spans that were a record once, or are none we can read.
        quarantined_bytes: their length.
        reasons: what is wrong with the first REASONS_MAX of them, with file
            and byte.
    """

    segments: int = 0
    records: int = 0
    bytes: int = 0
    torn_bytes: int = 0
    quarantined: int = 0
    quarantined_bytes: int = 0
    reasons: list[str] = field(default_factory=list)


def replay(
    folder: Path, stats: ReplayStats, *, segment_min: int = 0
) -> Iterator[tuple[int, SeriesRecord | EntriesRecord]]:
    """Yield (segment number, record) of segments from `segment_min` on, ascending.

    Columns of a record lie in the mapped segment, which stays mapped as long as
    one of them is in use, even after the file was deleted.

    Raises:
        UnknownVersion: a segment of another version, or a record of a kind that
            this version does not know. Nothing of it was changed.
        OSError: the disk cannot be read, or damage cannot be set aside.
    """
    for number in segment_numbers(folder):
        if number < segment_min:
            continue
        for record in _replay_segment(folder, number, stats):
            yield number, record


def _replay_segment(
    folder: Path, number: int, stats: ReplayStats
) -> Iterator[SeriesRecord | EntriesRecord]:
    path = segment_path(folder, number)
    segment = _mapped(path)
    stats.segments += 1
    stats.bytes += len(segment)
    copied = None
    for item in iter_records_or_damage(segment):
        if isinstance(item, Damaged):
            _set_aside(path, segment, item, stats)
            continue
        if copied is not None and item.payload.equals(copied):
            continue  # the other frame of a series record
        copied = item.payload if item.kind == RecordKind.SERIES else None
        try:
            record = decode(item)
        except UnknownVersion as error:
            raise UnknownVersion(f"{path}: {error}") from error
        except CorruptData as error:
            # The writer's checksum is right, so the writer was wrong.
            damage = Damaged(item.offset, item.end, str(error), torn=False)
            _set_aside(path, segment, damage, stats)
            continue
        stats.records += 1
        yield record


def _mapped(path: Path) -> "pa.Buffer":
    if path.stat().st_size == 0:
        return pa.py_buffer(b"")  # nothing to map
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def _set_aside(
    path: Path, segment: "pa.Buffer", damage: Damaged, stats: ReplayStats
) -> None:
    length = damage.end - damage.offset
    if damage.torn:
        stats.torn_bytes += length
        os.truncate(path, damage.offset)
        return
    stats.quarantined += 1
    stats.quarantined_bytes += length
    if len(stats.reasons) < REASONS_MAX:
        stats.reasons.append(f"{path}: {damage.reason}")
    folder = path.parent / QUARANTINE_FOLDER
    folder.mkdir(exist_ok=True)
    # Named by where it was: replaying again makes no second copy.
    copy = folder / f"{path.stem}-{damage.offset}.bytes"
    with copy.open("wb") as file:
        file.write(segment.slice(damage.offset, length))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)
