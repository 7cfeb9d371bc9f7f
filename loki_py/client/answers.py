"""What the store answers to queries, from JSON.

Pure.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

CATEGORIZE_LABELS = "categorize-labels"
CATEGORIZED = {"X-Loki-Response-Encoding-Flags": CATEGORIZE_LABELS}


class WrongKind(TypeError):
    """A log query where a metric query was needed, or the other way round."""


class Extra(msgspec.Struct, frozen=True):
    """What an entry has beside its stream's labels."""

    structured: dict[str, str] = msgspec.field(
        name="structuredMetadata", default_factory=dict
    )
    parsed: dict[str, str] = {}

    def merged(self) -> dict[str, str]:
        """Return metadata and what parsers found in one; parsers go first."""
        return {**self.structured, **self.parsed}


class _Categorized(msgspec.Struct):
    stream: dict[str, str]
    values: list[tuple[str, str, Extra]]


class _Plain(msgspec.Struct):
    stream: dict[str, str]
    values: list[tuple[str, str]]


class _MatrixSeries(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _VectorSeries(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Result(msgspec.Struct):
    kind: str = msgspec.field(name="resultType")
    result: msgspec.Raw
    flags: list[str] = msgspec.field(name="encodingFlags", default_factory=list)


class _Answer(msgspec.Struct):
    data: _Result
    warnings: list[str] = []


class DroppedEntry(msgspec.Struct, frozen=True):
    """An entry that the store left out of a tail, because its reader was slow."""

    timestamp: str
    labels: dict[str, str]


class _TailFrame(msgspec.Struct):
    streams: msgspec.Raw
    dropped: list[DroppedEntry] | None = msgspec.field(
        name="dropped_entries", default=None
    )
    flags: list[str] = msgspec.field(name="encodingFlags", default_factory=list)


class _Names(msgspec.Struct):
    data: list[str] = []


class _Series(msgspec.Struct):
    data: list[dict[str, str]] = []


@dataclass(slots=True)
class Rows:
    """Entries in columns, in the order of their times.

    Attributes:
        streams: label sets that occur.
        stream: for each row, the position of its label set.
        extras: for each row; empty where no row has any.
    """

    streams: list[dict[str, str]] = field(default_factory=list)
    stream: list[int] = field(default_factory=list)
    timestamp_ns: list[int] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def append(self, other: "Rows") -> None:
        """Add rows that come after these."""
        offset = len(self.streams)
        if other.extras and not self.extras:
            self.extras = [_NOTHING] * len(self.lines)
        elif self.extras and not other.extras:
            self.extras += [_NOTHING] * len(other.lines)
        self.streams += other.streams
        self.stream += [offset + index for index in other.stream]
        self.timestamp_ns += other.timestamp_ns
        self.lines += other.lines
        self.extras += other.extras
        self.warnings += [w for w in other.warnings if w not in self.warnings]

    def identities(self, positions: Iterable[int]) -> Iterator[Hashable]:
        """Yield what is equal for equal entries, for each of the rows."""
        keys = [tuple(sorted(labels.items())) for labels in self.streams]
        for at in positions:
            extra = self.extras[at].merged() if self.extras else {}
            yield (
                self.timestamp_ns[at],
                keys[self.stream[at]],
                self.lines[at],
                tuple(sorted(extra.items())),
            )

    def taken(self, order: list[int]) -> "Rows":
        """Return the rows at these positions, in this order."""
        return Rows(
            streams=self.streams,
            stream=[self.stream[at] for at in order],
            timestamp_ns=[self.timestamp_ns[at] for at in order],
            lines=[self.lines[at] for at in order],
            extras=[self.extras[at] for at in order] if self.extras else [],
            warnings=self.warnings,
        )


@dataclass(frozen=True, slots=True)
class Series:
    """The samples of one label set: seconds and values."""

    labels: dict[str, str]
    samples: list[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class SampleAnswer:
    """The series of an answer to a metric query."""

    series: list[Series]
    warnings: list[str]


_NOTHING = Extra()


def decode_rows(body: bytes, *, forward: bool) -> Rows:
    """Return the entries of an answer in time order; ties stay as they came.

    Raises: WrongKind.
    """
    answer = msgspec.json.decode(body, type=_Answer)
    if answer.data.kind != "streams":
        raise WrongKind(
            f"the answer is a {answer.data.kind}; metric queries are for"
            " query_samples and query_instant"
        )
    rows = _rows_of(answer.data.result, answer.data.flags)
    rows.warnings = answer.warnings
    times = rows.timestamp_ns
    order = sorted(range(len(times)), key=times.__getitem__, reverse=not forward)
    return rows.taken(order)


def decode_tail_frame(frame: str | bytes) -> tuple[Rows, list[DroppedEntry]]:
    """Return a tail's entries in the order they came, and what it left out."""
    decoded = msgspec.json.decode(frame, type=_TailFrame)
    return _rows_of(decoded.streams, decoded.flags), decoded.dropped or []


def _rows_of(streams: msgspec.Raw, flags: list[str]) -> Rows:
    rows = Rows()
    if CATEGORIZE_LABELS in flags:
        _add_categorized(rows, streams)
    else:
        for plain in msgspec.json.decode(streams, type=list[_Plain] | None) or ():
            _add(rows, plain.stream, list(zip(*plain.values, strict=True)))
    return rows


def _add_categorized(rows: Rows, result: msgspec.Raw) -> None:
    for found in msgspec.json.decode(result, type=list[_Categorized]):
        columns = list(zip(*found.values, strict=True))
        _add(rows, found.stream, columns[:2])
        if columns:
            rows.extras += columns[2]
    if all(extra == _NOTHING for extra in rows.extras):
        rows.extras = []


def _add(rows: Rows, labels: dict[str, str], columns: list[tuple[str, ...]]) -> None:
    if not columns:
        return
    rows.stream += [len(rows.streams)] * len(columns[0])
    rows.streams.append(labels)
    rows.timestamp_ns += map(int, columns[0])
    rows.lines += columns[1]


def decode_samples(body: bytes) -> SampleAnswer:
    """Return the series of an answer to a metric query.

    Raises: WrongKind.
    """
    answer = msgspec.json.decode(body, type=_Answer)
    result = answer.data.result
    match answer.data.kind:
        case "matrix":
            matrix = msgspec.json.decode(result, type=list[_MatrixSeries])
            series = [Series(found.metric, found.values) for found in matrix]
        case "vector":
            vector = msgspec.json.decode(result, type=list[_VectorSeries])
            series = [Series(found.metric, [found.value]) for found in vector]
        case "scalar":
            # Its time is in milliseconds, as in Loki; no other kind's is.
            at_ms, value = msgspec.json.decode(result, type=tuple[float, str])
            series = [Series({}, [(at_ms / 1000, value)])]
        case kind:
            raise WrongKind(f"the answer is {kind}; log queries are for query")
    return SampleAnswer(series, answer.warnings)


def decode_names(body: bytes) -> list[str]:
    """Return label names or values."""
    return msgspec.json.decode(body, type=_Names).data


def decode_series(body: bytes) -> list[dict[str, str]]:
    """Return label sets."""
    return msgspec.json.decode(body, type=_Series).data
