"""Tables: series on one grid, as metric arithmetic sees them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from loki_py.errors import LimitExceeded, QueryInvalid
from loki_py.logql.exec.frame import Mask
from loki_py.model.results import Floats, Labels

VALUES_MAX = 10_000_000
"""Values, of all series at all times, that one table may have: 90 MB."""

SLICE_VALUES = 2_000_000
"""Values of series that are looked at together, where there is a choice."""

SeriesValues: TypeAlias = Callable[[int, int], tuple[Floats, Mask]]
"""Series [start, end) to their values and presence, [end - start, p]."""


@dataclass(frozen=True, slots=True)
class Table:
    """s series on p evaluation times.

    Attributes:
        labels: s label sets, in any order. Equal ones, which label_replace may
            make, are series of their own until `distinct`.
        values: float64[s, p]; meaningless where not present.
        present: bool[s, p].
    """

    labels: Sequence[Labels]
    values: Floats
    present: Mask

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: "np.typing.NDArray[np.int64]") -> "Table":
        """Return the given series, in the given order."""
        labels = [self.labels[i] for i in rows.tolist()]
        return Table(labels, self.values[rows], self.present[rows])

    def with_points(self) -> "Table":
        """Return the series that have at least one point."""
        has = self.present.any(axis=1)
        return self if has.all() else self.take(np.flatnonzero(has))

    def sorted(self) -> "Table":
        """Return the series in label order."""
        order = label_order(self.labels)
        if (order[1:] > order[:-1]).all():
            return self
        return self.take(order)

    def distinct(self) -> "Table":
        """Return the table with the series of equal labels as one.

        Raises: QueryInvalid where two of them have a point at one time.
        """
        ids: dict[Labels, int] = {}
        row = [ids.setdefault(one, len(ids)) for one in self.labels]
        if len(ids) == len(row):
            return self
        values = np.zeros((len(ids), self.values.shape[1]))
        count = np.zeros(values.shape, np.int64)
        np.add.at(count, row, self.present)
        if (count > 1).any():
            raise QueryInvalid("vector cannot contain metrics with the same labelset")
        np.add.at(values, row, np.where(self.present, self.values, 0.0))
        return Table(list(ids), values, count > 0)


def label_order(labels: Sequence[Labels]) -> "np.typing.NDArray[np.int64]":
    """Return the positions of label sets in their order."""
    return np.array(sorted(range(len(labels)), key=labels.__getitem__), np.int64)


@dataclass(frozen=True, slots=True)
class SlicedTable:
    """A table whose series are valued some at a time, because they may be many.

    Attributes:
        labels: s distinct label sets, in order.
        width: values that a series takes while it is valued, p or more.
        valued: what gives their values.
    """

    labels: Sequence[Labels]
    width: int
    valued: SeriesValues

    def slices(self) -> Iterator[Table]:
        """Yield the series that have a point, in order; one table at least."""
        at_once = max(SLICE_VALUES // max(self.width, 1), 1)
        for start in range(0, max(len(self.labels), 1), at_once):
            end = min(start + at_once, len(self.labels))
            yield Table(self.labels[start:end], *self.valued(start, end)).with_points()


def stacked(tables: Iterable[Table], *, series_max: int = 0) -> Table:
    """Return the series of all tables, one or more, in order.

    Args:
        series_max: so many there may be if there are several tables; 0 is no bound.

    Raises: LimitExceeded for more, and for more than VALUES_MAX values.
    """
    held: list[Table] = []
    series = 0
    for table in tables:
        held.append(table)
        series += len(table)
        points = table.values.shape[1]
        if len(held) > 1 and series > series_max > 0:
            raise too_many_series(series_max)
        check_size(series, points)
    if len(held) == 1:
        return held[0]
    return Table(
        [labels for table in held for labels in table.labels],
        np.concatenate([table.values for table in held]),
        np.concatenate([table.present for table in held]),
    )


def check_size(series: int, points: int) -> None:
    """Raise LimitExceeded where a table would have more than VALUES_MAX values."""
    if series * points > VALUES_MAX:
        raise LimitExceeded(
            f"the query has to hold {series} or more series of {points} points at "
            f"once, which is more than {VALUES_MAX} values; consider aggregating "
            "with functions like sum(), count() or topk(), a shorter time range or "
            "a longer step",
            status=400,
        )


def too_many_series(most: int) -> LimitExceeded:
    """Return the error of a query whose result has more series than it may."""
    return LimitExceeded(
        f"maximum number of series ({most}) reached for a single query; "
        "consider reducing query cardinality by adding more specific stream "
        "selectors, reducing the time range, or aggregating results with "
        "functions like sum(), count() or topk()",
        status=400,
    )


def empty_table(points: int) -> Table:
    """Return a table without series."""
    return Table([], np.zeros((0, points)), np.zeros((0, points), dtype=np.bool_))


def constant_table(value: float, points: int) -> Table:
    """Return one series without labels that always has the value."""
    return Table(
        [()], np.full((1, points), value), np.ones((1, points), dtype=np.bool_)
    )
