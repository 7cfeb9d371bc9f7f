"""The LogQL syntax tree, metric half: ranges, aggregations and arithmetic.

The log half, and what holds for every node, is in `ast`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from loki_py.logql.ast import LabelFilter, LogQuery


class UnwrapConversion(Enum):
    """How an unwrapped label becomes a number, by text; absent means float."""

    BYTES = "bytes"
    DURATION = "duration"
    DURATION_SECONDS = "duration_seconds"


@dataclass(frozen=True, slots=True)
class Unwrap:
    """`| unwrap bytes(size) | filter…`.

    Attributes:
        conversion: None for plain floats.
        filters: what follows, one tree a pipe, evaluated after the conversion.
    """

    label: str
    conversion: UnwrapConversion | None = None
    filters: tuple[LabelFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class LogRange:
    """The entries that a range aggregation looks at, per evaluation time T.

    The window is (T - offset_ns - range_ns, T - offset_ns].
    """

    query: LogQuery
    range_ns: int
    unwrap: Unwrap | None = None
    offset_ns: int = 0


class RangeFunction(Enum):
    """Aggregations over time, by name."""

    COUNT_OVER_TIME = "count_over_time"
    RATE = "rate"
    RATE_COUNTER = "rate_counter"
    BYTES_OVER_TIME = "bytes_over_time"
    BYTES_RATE = "bytes_rate"
    AVG_OVER_TIME = "avg_over_time"
    SUM_OVER_TIME = "sum_over_time"
    MIN_OVER_TIME = "min_over_time"
    MAX_OVER_TIME = "max_over_time"
    STDVAR_OVER_TIME = "stdvar_over_time"
    STDDEV_OVER_TIME = "stddev_over_time"
    QUANTILE_OVER_TIME = "quantile_over_time"
    FIRST_OVER_TIME = "first_over_time"
    LAST_OVER_TIME = "last_over_time"
    ABSENT_OVER_TIME = "absent_over_time"


class VectorFunction(Enum):
    """Aggregations over series, by name."""

    SUM = "sum"
    AVG = "avg"
    COUNT = "count"
    MAX = "max"
    MIN = "min"
    STDDEV = "stddev"
    STDVAR = "stdvar"
    TOPK = "topk"
    BOTTOMK = "bottomk"
    APPROX_TOPK = "approx_topk"
    SORT = "sort"
    SORT_DESC = "sort_desc"

    @property
    def is_sort(self) -> bool:
        """Whether the function only orders."""
        return self in {VectorFunction.SORT, VectorFunction.SORT_DESC}


@dataclass(frozen=True, slots=True)
class Grouping:
    """`by (…)` or `without (…)`; `by ()` puts everything in one group."""

    labels: tuple[str, ...]
    without: bool = False


@dataclass(frozen=True, slots=True)
class RangeAggregation:
    """`function(parameter, range) grouping`; unwrap and grouping fit the function.

    Attributes:
        parameter: the quantile; None for every other function.
        grouping: None keeps all labels as they are after the pipeline.
    """

    function: RangeFunction
    range: LogRange
    parameter: float | None = None
    grouping: Grouping | None = None


@dataclass(frozen=True, slots=True)
class VectorAggregation:
    """`function grouping (parameter, operand)`.

    Attributes:
        parameter: the k of topk, bottomk and approx_topk, greater than 0.
        grouping: None puts everything in one group, as `by ()` does.
    """

    function: VectorFunction
    operand: "MetricExpr"
    parameter: int | None = None
    grouping: Grouping | None = None


class BinaryOp(Enum):
    """Operators between metric expressions, by text."""

    OR = "or"
    AND = "and"
    UNLESS = "unless"
    EQUAL = "=="
    NOT_EQUAL = "!="
    GREATER = ">"
    GREATER_EQUAL = ">="
    LESS = "<"
    LESS_EQUAL = "<="
    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    MODULO = "%"
    POWER = "^"

    @property
    def precedence(self) -> int:
        """How tightly the operator binds, 1 (or) to 6 (power, from the right)."""
        return _PRECEDENCE[self.value]

    @property
    def is_set(self) -> bool:
        """Whether the operator works on sets of series."""
        return self in {BinaryOp.OR, BinaryOp.AND, BinaryOp.UNLESS}

    @property
    def is_comparison(self) -> bool:
        """Whether the operator compares."""
        return self.value in {"==", "!=", ">", ">=", "<", "<="}


_PRECEDENCE = {
    op: precedence
    for precedence, ops in enumerate(
        (("or",), ("and", "unless"), ("==", "!=", ">", ">=", "<", "<="),
         ("+", "-"), ("*", "/", "%"), ("^",)), start=1
    )
    for op in ops
}  # fmt: skip


class MatchCardinality(Enum):
    """Which side of a binary operation may have several series per match."""

    ONE_TO_ONE = "one-to-one"
    GROUP_LEFT = "group_left"
    GROUP_RIGHT = "group_right"


@dataclass(frozen=True, slots=True)
class VectorMatching:
    """`on (…) group_left (…)`.

    Attributes:
        labels: of `on`, or of `ignoring` where `on` is false.
        on: whether series match on the labels, or on all others.
        include: labels of the "one" side that the result takes.
    """

    labels: tuple[str, ...]
    on: bool
    cardinality: MatchCardinality = MatchCardinality.ONE_TO_ONE
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BinaryOperation:
    """`left op right`; never between two literals, those are folded.

    Attributes:
        returns_bool: comparisons answer 0 or 1 and keep every series.
        matching: None matches series on all labels, one to one.
    """

    op: BinaryOp
    left: "MetricExpr"
    right: "MetricExpr"
    returns_bool: bool = False
    matching: VectorMatching | None = None


@dataclass(frozen=True, slots=True)
class Literal:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Vector:
    """`vector(n)`: one series without labels."""

    value: float


@dataclass(frozen=True, slots=True)
class LabelReplace:
    """`label_replace(operand, target, replacement, source, pattern)`.

    Attributes:
        pattern: RE2, to be anchored; it compiles.
    """

    operand: "MetricExpr"
    target: str
    replacement: str
    source: str
    pattern: str


MetricExpr: TypeAlias = (
    RangeAggregation
    | VectorAggregation
    | BinaryOperation
    | Literal
    | Vector
    | LabelReplace
)

Expr: TypeAlias = LogQuery | MetricExpr
