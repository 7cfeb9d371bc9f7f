"""The LogQL syntax tree, log half: selectors, filters, parsers, formatting.

The metric half is in `ast_metric`.

Every node is frozen, hashable and free of positions: two queries that differ
only in spacing, comments, quoting or redundant parentheses have equal trees.
Durations are int nanoseconds, sizes int bytes. The parser guarantees what the
docstrings state (checked regular expressions, templates, patterns, groupings),
so that a plan made from a tree needs no error paths for them.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from loki_py.logql.paths import parse_path
from loki_py.model.matchers import Matcher

# ---------------------------------------------------------------- line filters


class LineFilterOp(Enum):
    """The six line filter operators, by their text."""

    CONTAINS = "|="
    NOT_CONTAINS = "!="
    REGEXP = "|~"
    NOT_REGEXP = "!~"
    PATTERN = "|>"
    NOT_PATTERN = "!>"

    @property
    def is_negative(self) -> bool:
        """Whether a line passes only if no term matches."""
        return self.value.startswith("!")


@dataclass(frozen=True, slots=True)
class LineTerm:
    """One operand of a line filter.

    Attributes:
        value: the text, RE2 pattern, `<_>` pattern or IP pattern.
        is_ip: whether it was written `ip("…")`; CONTAINS and NOT_CONTAINS only.
    """

    value: str
    is_ip: bool = False


@dataclass(frozen=True, slots=True)
class LineFilter:
    """`|= "a" or "b"`: any term may match; for negative operators none may.

    Attributes:
        terms: at least one, in the order written.
    """

    op: LineFilterOp
    terms: tuple[LineTerm, ...]


# --------------------------------------------------------------------- parsers


@dataclass(frozen=True, slots=True)
class JsonExtraction:
    """`name="expression"` of a json stage.

    Attributes:
        expression: as written; the name itself where none was written.
    """

    name: str
    expression: str

    @property
    def path(self) -> tuple[str | int, ...]:
        """The parsed expression: keys as str, array positions as int."""
        return parse_path(self.expression)


@dataclass(frozen=True, slots=True)
class LogfmtExtraction:
    """`name="key"` of a logfmt stage; the name itself where none was written."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class JsonParser:
    """`| json`: every field, or only the extractions where there are any."""

    extractions: tuple[JsonExtraction, ...] = ()


@dataclass(frozen=True, slots=True)
class LogfmtParser:
    """`| logfmt`: every key, or only the extractions where there are any."""

    extractions: tuple[LogfmtExtraction, ...] = ()
    strict: bool = False
    keep_empty: bool = False


@dataclass(frozen=True, slots=True)
class RegexpParser:
    """`| regexp`: the pattern compiles, has a named group and no name twice."""

    pattern: str


@dataclass(frozen=True, slots=True)
class PatternParser:
    """`| pattern`: see `patterns.parse_pattern`; it has a named capture."""

    pattern: str


@dataclass(frozen=True, slots=True)
class UnpackParser:
    """`| unpack`."""


# --------------------------------------------------------------- label filters


class CompareOp(Enum):
    """How numbers compare, by canonical text (`=` is read as `==`)."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    GREATER = ">"
    GREATER_EQUAL = ">="
    LESS = "<"
    LESS_EQUAL = "<="


@dataclass(frozen=True, slots=True)
class StringFilter:
    """`level=~"warn|error"`: a missing label compares as the empty text."""

    matcher: Matcher


@dataclass(frozen=True, slots=True)
class NumberFilter:
    """`status>=500`."""

    name: str
    op: CompareOp
    value: float


@dataclass(frozen=True, slots=True)
class DurationFilter:
    """`latency>250ms`."""

    name: str
    op: CompareOp
    value_ns: int


@dataclass(frozen=True, slots=True)
class BytesFilter:
    """`size>5KB`."""

    name: str
    op: CompareOp
    value_bytes: int


@dataclass(frozen=True, slots=True)
class IpFilter:
    """`addr=ip("10.0.0.0/8")`; the pattern is a valid address, range or network."""

    name: str
    pattern: str
    is_negative: bool = False


@dataclass(frozen=True, slots=True)
class AndFilter:
    """Both sides; written `and`, `,` or nothing."""

    left: "LabelFilter"
    right: "LabelFilter"


@dataclass(frozen=True, slots=True)
class OrFilter:
    """Either side."""

    left: "LabelFilter"
    right: "LabelFilter"


LabelFilter: TypeAlias = (
    StringFilter
    | NumberFilter
    | DurationFilter
    | BytesFilter
    | IpFilter
    | AndFilter
    | OrFilter
)


@dataclass(frozen=True, slots=True)
class LabelFilterStage:
    """`| filter`: one pipe, one tree."""

    filter: LabelFilter


# ------------------------------------------------------------------ formatting


@dataclass(frozen=True, slots=True)
class LineFormat:
    """`| line_format "…"`: the template compiles."""

    template: str


@dataclass(frozen=True, slots=True)
class LabelRename:
    """`target=source` of label_format."""

    target: str
    source: str


@dataclass(frozen=True, slots=True)
class LabelTemplate:
    """`target="template"` of label_format; the template compiles."""

    target: str
    template: str


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """`| label_format a=b, c="{{.d}}"`: no target twice."""

    assignments: tuple[LabelRename | LabelTemplate, ...]


@dataclass(frozen=True, slots=True)
class Decolorize:
    """`| decolorize`."""


@dataclass(frozen=True, slots=True)
class LabelTarget:
    """A label that drop or keep names: always, or only where the value matches.

    Attributes:
        matcher: the condition on the label called `name`; None for always.
    """

    name: str
    matcher: Matcher | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """`| drop a, b="x"`."""

    targets: tuple[LabelTarget, ...]


@dataclass(frozen=True, slots=True)
class Keep:
    """`| keep a, b="x"`."""

    targets: tuple[LabelTarget, ...]


Stage: TypeAlias = (
    LineFilter
    | JsonParser
    | LogfmtParser
    | RegexpParser
    | PatternParser
    | UnpackParser
    | LabelFilterStage
    | LineFormat
    | LabelFormat
    | Decolorize
    | Drop
    | Keep
)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A stream selector and its pipeline.

    Attributes:
        matchers: in the order written; at least one excludes the empty value.
        stages: in the order of evaluation.
    """

    matchers: tuple[Matcher, ...]
    stages: tuple[Stage, ...] = ()
