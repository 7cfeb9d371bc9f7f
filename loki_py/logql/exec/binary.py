"""Binary operations between tables and numbers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from loki_py.errors import QueryInvalid
from loki_py.logql import ast_metric as metric
from loki_py.logql.ast_metric import BinaryOp, MatchCardinality
from loki_py.logql.exec.frame import Mask
from loki_py.logql.exec.table import Table
from loki_py.model.results import Floats, Labels

ARITHMETIC: dict[BinaryOp, Callable[[Floats, Floats], Floats]] = {
    BinaryOp.ADD: np.add,
    BinaryOp.SUBTRACT: np.subtract,
    BinaryOp.MULTIPLY: np.multiply,
    BinaryOp.DIVIDE: lambda a, b: np.where(b == 0, np.nan, np.divide(a, b)),
    BinaryOp.MODULO: lambda a, b: np.where(b == 0, np.nan, np.fmod(a, b)),
    BinaryOp.POWER: np.power,
}
"""Of samples: dividing by zero is no number. Constants follow IEEE 754 instead."""

COMPARISONS: dict[BinaryOp, Callable[[Floats, Floats], Mask]] = {
    BinaryOp.EQUAL: np.equal,
    BinaryOp.NOT_EQUAL: np.not_equal,
    BinaryOp.GREATER: np.greater,
    BinaryOp.GREATER_EQUAL: np.greater_equal,
    BinaryOp.LESS: np.less,
    BinaryOp.LESS_EQUAL: np.less_equal,
}
_DUPLICATE = (
    "found duplicate series on the {} hand-side;many-to-many matching not "
    "allowed: matching labels must be unique on one side"
)
_MANY_TO_ONE = (
    "multiple matches for labels: many-to-one matching must be explicit "
    "(group_left/group_right)"
)
_NOT_UNIQUE = "multiple matches for labels: grouping labels must ensure unique matches"


def binary(
    node: metric.BinaryOperation, left: Table | float, right: Table | float
) -> Table | float:
    """Return the operation's outcome.

    Raises: QueryInvalid where series do not match one to one, or as grouped.
    """
    with np.errstate(all="ignore"):
        if isinstance(left, Table) and isinstance(right, Table):
            if node.op.is_set:
                return _set_operation(node, left, right)
            return _between_tables(node, left, right)
        if isinstance(left, Table):
            assert not isinstance(right, Table)
            return _with_number(node, left, right, number_is_left=False)
        if isinstance(right, Table):
            return _with_number(node, right, left, number_is_left=True)
        return _between_numbers(node, left, right)


def _between_numbers(node: metric.BinaryOperation, left: float, right: float) -> float:
    a, b = np.array([left]), np.array([right])
    if node.op.is_comparison:
        return float(COMPARISONS[node.op](a, b)[0])
    if node.op is BinaryOp.DIVIDE:
        return float(np.divide(a, b)[0])
    return float(ARITHMETIC[node.op](a, b)[0])


def _with_number(
    node: metric.BinaryOperation, table: Table, number: float, *, number_is_left: bool
) -> Table:
    other = np.full_like(table.values, number)
    left, right = (other, table.values) if number_is_left else (table.values, other)
    if not node.op.is_comparison:
        values = ARITHMETIC[node.op](left, right)
        return Table(table.labels, values, table.present)
    true = COMPARISONS[node.op](left, right)
    if node.returns_bool:
        return Table(table.labels, true.astype(np.float64), table.present)
    return Table(table.labels, table.values, table.present & true).with_points()


def _signature(node: metric.BinaryOperation, labels: Labels) -> Labels:
    matching = node.matching
    if matching is None:
        return labels
    named = set(matching.labels)
    return tuple(pair for pair in labels if (pair[0] in named) == matching.on)


def _set_operation(node: metric.BinaryOperation, left: Table, right: Table) -> Table:
    points = left.values.shape[1]
    if node.op is BinaryOp.OR:
        there = _presence(node, left)
        nowhere = np.zeros(points, dtype=np.bool_)
        hidden = [there.get(_signature(node, one), nowhere) for one in right.labels]
        masked = right.present & ~np.array(hidden, np.bool_).reshape(len(right), points)
        return _joined(left, Table(right.labels, right.values, masked)).with_points()
    there = _presence(node, right)
    nowhere = np.zeros(points, dtype=np.bool_)
    found = [there.get(_signature(node, one), nowhere) for one in left.labels]
    mask = np.array(found, np.bool_).reshape(len(left), points)
    keep = mask if node.op is BinaryOp.AND else ~mask
    return Table(left.labels, left.values, left.present & keep).with_points()


def _presence(node: metric.BinaryOperation, table: Table) -> dict[Labels, Mask]:
    there: dict[Labels, Mask] = {}
    for i, labels in enumerate(table.labels):
        key = _signature(node, labels)
        there[key] = there[key] | table.present[i] if key in there else table.present[i]
    return there


def _joined(left: Table, right: Table) -> Table:
    """Return the series of both; equal label sets share a row where they can."""
    ids = {labels: i for i, labels in enumerate(left.labels)}
    more = []
    values, present = left.values.copy(), left.present.copy()
    for i, one in enumerate(right.labels):
        at = ids.get(one)
        if at is None or (present[at] & right.present[i]).any():
            more.append(i)
            continue
        values[at] = np.where(right.present[i], right.values[i], values[at])
        present[at] |= right.present[i]
    return Table(
        [*left.labels, *(right.labels[i] for i in more)],
        np.concatenate((values, right.values[more])),
        np.concatenate((present, right.present[more])),
    )


class _Result(NamedTuple):
    """A series of the result, by point in time.

    Attributes:
        values: float64.
        present: whether there is a value.
        matched: whether two series met, whatever came of it.
    """

    values: Floats
    present: Mask
    matched: Mask


def _between_tables(node: metric.BinaryOperation, left: Table, right: Table) -> Table:
    swapped = (
        node.matching is not None
        and node.matching.cardinality is MatchCardinality.GROUP_RIGHT
    )
    many, one = (right, left) if swapped else (left, right)
    ones = _by_signature(node, one, side="left" if swapped else "right")
    out: dict[Labels, _Result] = {}
    for i, labels in enumerate(many.labels):
        for j in ones.get(_signature(node, labels), ()):
            both = many.present[i] & one.present[j]
            if not both.any():
                continue
            a, b = many.values[i], one.values[j]
            values, present = _applied(node, (b, a) if swapped else (a, b), both)
            name = _result_labels(node, labels, one.labels[j])
            _put(node, out, name, _Result(values, present, both))
    if not out:
        points = left.values.shape[1]
        return Table([], np.zeros((0, points)), np.zeros((0, points), np.bool_))
    values = np.array([result.values for result in out.values()])
    present = np.array([result.present for result in out.values()])
    return Table(list(out), values, present).with_points()


def _by_signature(
    node: metric.BinaryOperation, one: Table, *, side: str
) -> dict[Labels, list[int]]:
    """Return the series of the "one" side by signature.

    Raises: QueryInvalid where two of them are present at the same time.
    """
    found: dict[Labels, list[int]] = {}
    for j, labels in enumerate(one.labels):
        rows = found.setdefault(_signature(node, labels), [])
        if any((one.present[i] & one.present[j]).any() for i in rows):
            raise QueryInvalid(_DUPLICATE.format(side))
        rows.append(j)
    return found


def _applied(
    node: metric.BinaryOperation, sides: tuple[Floats, Floats], both: Mask
) -> tuple[Floats, Mask]:
    left, right = sides
    if not node.op.is_comparison:
        return ARITHMETIC[node.op](left, right), both
    true = COMPARISONS[node.op](left, right)
    if node.returns_bool:
        return true.astype(np.float64), both
    return left, both & true


def _put(
    node: metric.BinaryOperation,
    out: dict[Labels, _Result],
    labels: Labels,
    new: _Result,
) -> None:
    """Add a result series; equal labels at one time are an error.

    A match counts even where a comparison drops its value, as in Loki.
    """
    old = out.get(labels)
    if old is None:
        out[labels] = new
        return
    if (old.matched & new.matched).any():
        grouped = (
            node.matching is not None
            and node.matching.cardinality is not MatchCardinality.ONE_TO_ONE
        )
        raise QueryInvalid(_NOT_UNIQUE if grouped else _MANY_TO_ONE)
    out[labels] = _Result(
        np.where(new.present, new.values, old.values),
        old.present | new.present,
        old.matched | new.matched,
    )


def _result_labels(node: metric.BinaryOperation, many: Labels, one: Labels) -> Labels:
    matching = node.matching
    if matching is None:
        return many
    if matching.cardinality is MatchCardinality.ONE_TO_ONE:
        return _signature(node, many)
    pairs = dict(many)
    others = dict(one)
    for name in matching.include:
        pairs.pop(name, None)
        if others.get(name):
            pairs[name] = others[name]
    return tuple(sorted(pairs.items()))
