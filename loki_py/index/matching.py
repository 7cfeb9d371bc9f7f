"""Matchers tried on many distinct values at once."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.model.matchers import Matcher, MatchType

_VECTOR_VALUES_MIN = 64
"""Below, a call per value is cheaper than a column of values."""

_REGEXP_CHARS = frozenset("\\.+*?()[]{}^$")


def values_matched(
    matcher: Matcher, values: Sequence[str], position_of: Mapping[str, int]
) -> npt.NDArray[np.bool_]:
    """Return bool[len(values)]: whether the matcher matches each value.

    Args:
        values: distinct values, but for places that are not in use.
        position_of: where each value in use stands in `values`.
    """
    literals = literals_of(matcher)
    if literals is None:
        return _regexp_matched(matcher, values)
    negated = matcher.type in {MatchType.NOT_EQUAL, MatchType.NOT_REGEXP}
    hit = np.full(len(values), negated)
    for literal in literals:
        position = position_of.get(literal)
        # A writer may have added one since; it is in no column of ours yet.
        if position is not None and position < len(hit):
            hit[position] = not negated
    return hit


def literals_of(matcher: Matcher) -> Sequence[str] | None:
    """Return the only values that the matcher's operand equals, None if unknown.

    `a|b|c` as a regular expression is what Grafana sends for a list of values.
    """
    if matcher.type in {MatchType.EQUAL, MatchType.NOT_EQUAL}:
        return [matcher.value]
    if _REGEXP_CHARS.isdisjoint(matcher.value):
        return matcher.value.split("|")
    return None


def _regexp_matched(matcher: Matcher, values: Sequence[str]) -> npt.NDArray[np.bool_]:
    if len(values) < _VECTOR_VALUES_MIN:
        return np.fromiter(map(matcher.matches, values), np.bool_, len(values))
    # The same engine as Matcher.matches, RE2, on a whole column.
    pattern = f"(?s)^(?:{matcher.value})$"
    column = pa.array(values, pa.large_string())
    hit = pc.match_substring_regex(column, pattern)
    matched: npt.NDArray[np.bool_] = hit.to_numpy(zero_copy_only=False)
    return ~matched if matcher.type is MatchType.NOT_REGEXP else matched
