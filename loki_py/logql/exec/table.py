"""Tables: series on one grid, as metric arithmetic sees them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loki_py.errors import QueryInvalid
from loki_py.logql.exec.frame import Mask
from loki_py.model.results import Floats, Labels


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
        order = sorted(range(len(self)), key=self.labels.__getitem__)
        return self.take(np.array(order, dtype=np.int64))

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


def empty_table(points: int) -> Table:
    """Return a table without series."""
    return Table([], np.zeros((0, points)), np.zeros((0, points), dtype=np.bool_))


def constant_table(value: float, points: int) -> Table:
    """Return one series without labels that always has the value."""
    return Table(
        [()], np.full((1, points), value), np.ones((1, points), dtype=np.bool_)
    )
