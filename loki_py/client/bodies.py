"""Entries to the JSON bodies of pushes, each of a bounded size.

Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from loki_py.client.entries import Entry

PUSH = "/loki/api/v1/push"
JSON_HEADERS = {"Content-Type": "application/json"}
BODY_BYTES_MAX = 1 << 20
"""Bytes of text in a push that has more than one entry."""

Value: TypeAlias = tuple[str, str] | tuple[str, str, Mapping[str, str]]
Key: TypeAlias = tuple[tuple[str, str], ...]
Item: TypeAlias = tuple[Key, Value]

_ENTRY_BYTES = 64
_encoder = msgspec.json.Encoder()


def items_of(entries: Iterable[Entry]) -> Iterator[Item]:
    """Yield entries as they go into a body."""
    for entry in entries:
        timestamp = str(entry.timestamp_ns)
        value: Value = (timestamp, entry.line)
        if entry.metadata:
            value = (timestamp, entry.line, entry.metadata)
        yield key_of(entry.labels), value


def key_of(labels: Mapping[str, str]) -> Key:
    """Return what is equal for equal label sets."""
    return tuple(sorted(labels.items()))


def column_items(
    labels: Mapping[str, str],
    lines: Sequence[str],
    timestamps_ns: Sequence[int],
    metadata: Mapping[str, Sequence[str | None]],
) -> Iterator[Item]:
    """Yield the rows of equally long columns, all of one stream.

    Raises: ValueError where the columns are not equally long.
    """
    key = key_of(labels)
    for name, column in metadata.items():
        if len(column) != len(lines):
            raise ValueError(f"{name} has {len(column)} rows, lines {len(lines)}")
    if len(timestamps_ns) != len(lines):
        raise ValueError(f"{len(timestamps_ns)} timestamps, {len(lines)} lines")
    if not metadata:
        for timestamp_ns, line in zip(timestamps_ns, lines, strict=True):
            yield key, (str(timestamp_ns), line)
        return
    rows = zip(*metadata.values(), strict=True)
    for timestamp_ns, line, row in zip(timestamps_ns, lines, rows, strict=True):
        found = zip(metadata, row, strict=True)
        present = {name: value for name, value in found if value is not None}
        yield key, (str(timestamp_ns), line, present)


def bodies(
    items: Iterable[Item], *, bytes_max: int = BODY_BYTES_MAX
) -> Iterator[tuple[bytes, int]]:
    """Yield push bodies and how many entries are in each.

    A body has at most `bytes_max` bytes of text, or one entry that is longer.
    """
    streams: dict[Key, list[Value]] = {}
    size = count = 0
    for key, value in items:
        cost = _ENTRY_BYTES + len(value[1])
        if count and size + cost > bytes_max:
            yield _body(streams), count
            streams = {}
            size = count = 0
        streams.setdefault(key, []).append(value)
        size += cost
        count += 1
    if count:
        yield _body(streams), count


def _body(streams: Mapping[Key, Sequence[Value]]) -> bytes:
    shown = [{"stream": dict(key), "values": values} for key, values in streams.items()]
    return _encoder.encode({"streams": shown})
