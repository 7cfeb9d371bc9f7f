"""What the language forbids beyond its grammar, with the texts that say so."""

from collections.abc import Iterable

from loki_py.logql.ast_metric import (
    Grouping,
    LogRange,
    RangeFunction,
    VectorFunction,
)
from loki_py.logql.literals import LiteralInvalid, parse_float
from loki_py.model.matchers import Matcher

SELECTOR_TOO_WIDE = (
    "queries require at least one regexp or equality matcher that does not have an "
    'empty-compatible value. For instance, app=~".*" does not meet this requirement, '
    'but app=~".+" will'
)
_GROUPED = {
    RangeFunction.AVG_OVER_TIME,
    RangeFunction.STDDEV_OVER_TIME,
    RangeFunction.STDVAR_OVER_TIME,
    RangeFunction.QUANTILE_OVER_TIME,
    RangeFunction.MAX_OVER_TIME,
    RangeFunction.MIN_OVER_TIME,
    RangeFunction.FIRST_OVER_TIME,
    RangeFunction.LAST_OVER_TIME,
}
_ONLY_WITHOUT_UNWRAP = {
    RangeFunction.COUNT_OVER_TIME,
    RangeFunction.BYTES_OVER_TIME,
    RangeFunction.BYTES_RATE,
}
_ALSO_WITHOUT_UNWRAP = {RangeFunction.RATE, RangeFunction.ABSENT_OVER_TIME}
_WITH_K = {VectorFunction.TOPK, VectorFunction.BOTTOMK, VectorFunction.APPROX_TOPK}


def is_selective(matchers: Iterable[Matcher]) -> bool:
    """Return whether some matcher excludes streams that lack its label."""
    return any(not matcher.matches("") for matcher in matchers)


def range_parameter(
    function: RangeFunction, text: str | None
) -> tuple[float | None, str | None]:
    """Return the parameter of a range aggregation, and what is wrong with it."""
    name = function.value
    if function is not RangeFunction.QUANTILE_OVER_TIME:
        if text is None:
            return None, None
        return None, f"parameter {text} not supported for operation {name}"
    if text is None:
        return None, f"parameter required for operation {name}"
    try:
        return parse_float(text), None
    except LiteralInvalid as error:
        return None, f"invalid parameter for operation {name}: {error}"


def range_fault(
    function: RangeFunction, log_range: LogRange, grouping: Grouping | None
) -> str | None:
    """Return why the function does not go with its range or grouping, if so."""
    name = function.value
    if grouping is not None and function not in _GROUPED:
        return f"grouping not allowed for {name} aggregation"
    if log_range.unwrap is not None:
        if function in _ONLY_WITHOUT_UNWRAP:
            return f"invalid aggregation {name} with unwrap"
    elif function not in _ONLY_WITHOUT_UNWRAP | _ALSO_WITHOUT_UNWRAP:
        return f"invalid aggregation {name} without unwrap"
    return None


def vector_parameter(
    function: VectorFunction, text: str | None, grouping: Grouping | None
) -> tuple[int | None, str | None]:
    """Return the k of a vector aggregation, and what is wrong with it."""
    name = function.value
    if function not in _WITH_K:
        if text is None:
            return None, None
        return None, f"unsupported parameter for operation {name}({text},"
    if text is None:
        return None, f"parameter required for operation {name}"
    if not text.isascii() or not text.isdigit() or int(text[:20]) >= 2**63:
        return None, f"invalid parameter {name}({text},"
    if int(text) <= 0:
        return None, f"invalid parameter (must be greater than 0) {name}({text}"
    if function is VectorFunction.APPROX_TOPK and grouping is not None:
        return None, f"grouping not allowed for {name} aggregation"
    return int(text), None


def sort_fault(function: VectorFunction, grouping: Grouping | None) -> str | None:
    """Return why the function may not be grouped, if so."""
    if function.is_sort and grouping is not None and grouping.labels:
        return "sort and sort_desc doesn't allow grouping by "
    return None
