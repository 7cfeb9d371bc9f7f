"""Which fields a sample of lines has: structured metadata, JSON, logfmt.

A line is taken for JSON if it parses as such, else for logfmt. Pure.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from loki_py.errors import LokiError
from loki_py.logql.literals import parse_go_duration, parse_size
from loki_py.logql.parser import parse
from loki_py.logql.plan import plan_of, run
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.results import Labels, Streams
from loki_py.model.scan import BatchUnit

JSON, LOGFMT = "json", "logfmt"
EXTRACTED = "_extracted"
DEPTH_MAX = 100
_INT64_DIGITS = 19

_ERRORS = {"__error__", "__error_details__", "__preserve_error__"}
_INT = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?|nan)",
    re.IGNORECASE,
)
_BOOLEANS = {"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false"}
_BOOLEANS |= {"False"}
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(slots=True)
class Field:
    """One field of a sample.

    Attributes:
        kind: what its last value looks like.
        parsers: what found it; none for structured metadata.
        values: each distinct one, in the order seen.
        json_path: where in a JSON line it was found last.
    """

    kind: str = "string"
    parsers: list[str] = field(default_factory=list)
    values: dict[str, None] = field(default_factory=dict)
    json_path: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SampledEntry:
    """What one line of a sample has.

    Attributes:
        parsed: labels of the query's own parsers, and of the line.
        parser: what the line was taken for; "" for neither.
    """

    line: str
    metadata: Labels
    parsed: Labels
    parser: str


def fields_of(sample: Streams, *, count_max: int) -> dict[str, Field]:
    """Return the fields by name, at most `count_max`.

    Args:
        sample: with its labels categorised.
        count_max: how many fields to return.
    """
    found: dict[str, Field] = {}
    paths: dict[str, Sequence[str]] = {}
    for entry in entries_of(sample):
        if entry.parser == JSON:
            paths |= _paths_in(entry.line)
        for name, value in entry.metadata:
            _note(found, name, value, "", count_max)
        for name, value in entry.parsed:
            _note(found, name, value, entry.parser, count_max)
    for name, each in found.items():
        if JSON in each.parsers:
            base = name.removesuffix(EXTRACTED)
            each.json_path = paths.get(name) or paths.get(base) or ()
    return found


def values_of(sample: Streams, name: str, *, count_max: int) -> list[str]:
    """Return distinct values of one field, at most `count_max`."""
    found: dict[str, None] = {}
    for entry in entries_of(sample):
        if len(found) >= count_max:
            break
        given = [v for n, v in (*entry.metadata, *entry.parsed) if n == name]
        found |= dict.fromkeys(given)
    return list(found)[:count_max]


def kind_of(value: str) -> str:
    """Return what a value looks like, the narrowest of Loki's types."""
    if _INT.fullmatch(value) and _is_int64(value):
        return "int"
    if _FLOAT.fullmatch(value):
        return "float"
    if value in _BOOLEANS:
        return "boolean"
    for kind, read in (("duration", parse_go_duration), ("bytes", parse_size)):
        try:
            read(value)
        except (ValueError, LokiError):
            continue
        return kind
    return "string"


def _is_int64(digits: str) -> bool:
    short = len(digits.lstrip("+-0")) <= _INT64_DIGITS
    return short and -(2**63) <= int(digits) < 2**63


def entries_of(sample: Streams) -> Iterator[SampledEntry]:
    """Yield what each line has, stream by stream."""
    categories = sample.categories
    assert categories is not None
    lines = sample.line.to_pylist()
    as_json = _parsed(sample, lines, JSON, range(len(lines)))
    rest = [row for row, labels in enumerate(as_json) if _has_error(labels)]
    as_logfmt = dict(zip(rest, _parsed(sample, lines, LOGFMT, rest), strict=True))
    for row, line in enumerate(lines):
        labels, parser = as_json[row], JSON
        if row in as_logfmt:
            labels, parser = as_logfmt[row], LOGFMT
            if _has_error(labels):
                labels, parser = (), ""
        own = categories.parsed[int(categories.parsed_index[row])]
        yield SampledEntry(
            line,
            categories.structured_metadata[
                int(categories.structured_metadata_index[row])
            ],
            tuple(
                pair
                for pair in dict.fromkeys((*own, *labels))
                if pair[0] not in _ERRORS
            ),
            parser,
        )


def _has_error(labels: Labels) -> bool:
    return any(name in _ERRORS for name, _ in labels)


def _parsed(
    sample: Streams, lines: Sequence[str], parser: str, rows: Sequence[int]
) -> list[Labels]:
    """Return the labels that a parser finds in each of the rows."""
    if not rows:
        return []
    chosen = np.array(rows, np.int64)
    stream = np.searchsorted(sample.offsets, chosen, "right") - 1
    batch = EntryBatch(
        [LabelSet.of(labels) for labels in sample.labels],
        stream.astype(np.uint32),
        np.arange(len(rows), dtype=np.int64),
        pa.array([lines[row] for row in rows], pa.large_string()),
    )
    plan = plan_of(
        parse(f'{{any=~".*", some=~".+"}} | {parser}'),
        start_ns=0,
        end_ns=len(rows),
        limit=len(rows),
        forward=True,
        categorize=True,
    )
    data = run(plan, lambda _scan: [BatchUnit(batch)]).data
    assert isinstance(data, Streams)
    assert data.categories is not None
    found: list[Labels] = [()] * len(rows)
    for time_ns, index in zip(
        data.timestamp_ns.tolist(), data.categories.parsed_index.tolist(), strict=True
    ):
        found[time_ns] = data.categories.parsed[index]
    return found


def _note(
    found: dict[str, Field], name: str, value: str, parser: str, count_max: int
) -> None:
    each = found.get(name)
    if each is None:
        if len(found) >= count_max:
            return
        each = found[name] = Field()
    if parser and parser not in each.parsers:
        each.parsers.append(parser)
    each.kind = kind_of(value)
    each.values[value] = None


def _paths_in(line: str) -> dict[str, Sequence[str]]:
    """Return label names to the keys that lead to their values in a JSON line."""
    try:
        decoded = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return {}
    return dict(_paths_of(decoded, ()))


def _paths_of(
    value: Any, path: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(value, dict) and len(path) < DEPTH_MAX:
        for key, each in value.items():
            yield from _paths_of(each, (*path, key))
    elif path:
        name = "_".join(_NOT_IN_NAMES.sub("_", key) for key in path)
        yield (f"_{name}" if name[:1].isdigit() else name), path
