"""What is in a WAL segment, record by record, damage included.

Pure: the caller maps the file.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any, TypeAlias

import pyarrow as pa

from loki_py.app.moments import print_moment
from loki_py.encoding.framing import Damaged, Frame
from loki_py.errors import CorruptData, UnknownVersion
from loki_py.wal.records import SeriesRecord
from loki_py.wal.segment import decode, decode_header, iter_records_or_damage

Row: TypeAlias = Mapping[str, Any]


def wal_rows(buffer: "pa.Buffer") -> Iterator[Row]:
    """Yield a row for the header and one for each record or damaged span.

    Raises: UnknownVersion, BadMagic, BadChecksum, TruncatedData for what is no
        segment, or none that this version can read.
    """
    header = decode_header(buffer)
    yield {
        "offset": 0,
        "kind": "header",
        "bytes": None,
        "detail": f"segment {header.number} of {header.ingester}",
    }
    for found in iter_records_or_damage(buffer):
        if isinstance(found, Damaged):
            kind = "torn" if found.torn else "damaged"
            yield _row(found.offset, kind, found.end, found.reason)
        else:
            yield _row(found.offset, *_told(found))


def _row(offset: int, kind: str, end: int, detail: str) -> Row:
    return {"offset": offset, "kind": kind, "bytes": end - offset, "detail": detail}


def _told(frame: Frame) -> tuple[str, int, str]:
    try:
        record = decode(frame)
    except (CorruptData, UnknownVersion) as error:
        return "unreadable", frame.end, str(error)
    if isinstance(record, SeriesRecord):
        series = ", ".join(f"{ref}={labels}" for ref, labels in record.series)
        return "series", frame.end, f"{record.tenant} {series}"
    rows = len(record.timestamp_ns)
    detail = f"{record.tenant} {rows} entries"
    if rows:
        first = print_moment(int(record.timestamp_ns.min()), UTC, digits=True)
        last = print_moment(int(record.timestamp_ns.max()), UTC, digits=True)
        detail += f" {first} to {last}"
    return "entries", frame.end, detail
