"""Small units are read as one where that changes nothing."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns, ReadStats, StreamRuns, TimedUnit
from loki_py.querier.small_units import JOINED_ROWS_MAX, JoinedUnits, small_joined

STREAMS = (LabelSet.of({"app": "api"}),)
OTHERS = (LabelSet.of({"app": "web"}),)
LINES = Columns(line=True)


@dataclass
class Piece(TimedUnit):
    """Rows of a file, from `min_ns` on."""

    min_ns: int
    rows_max: int = 10
    streams: tuple = STREAMS
    origin: str = "file"

    @property
    def max_ns(self):
        return self.min_ns + self.rows_max - 1

    @property
    def runs(self):
        bounds = np.array([self.min_ns]), np.array([self.max_ns])
        return StreamRuns(np.zeros(1, np.uint32), *bounds)

    def read(self, columns, stats):  # noqa: ARG002
        times = np.arange(self.min_ns, self.min_ns + self.rows_max)
        lines = pa.array([f"line {time}" for time in times], pa.large_string())
        stream = np.zeros(len(times), np.uint32)
        return EntryBatch(self.streams, stream, times, lines)

    def read_times(self, columns, stats):
        raise NotImplementedError


def sizes(units):
    return [unit.rows_max for unit in units]


def test_neighbours_over_the_same_streams_are_one_unit():
    """It has the rows and bounds of all, and can be taken apart again."""
    units = [Piece(0), Piece(20), Piece(40)]

    (joined,) = small_joined(units, groups_min=1, columns=LINES)

    assert (joined.min_ns, joined.max_ns, joined.rows_max) == (0, 49, 30)
    assert joined.runs.min_ns.tolist() == [0, 20, 40]
    assert joined.pieces() == units
    batch = joined.read(LINES, ReadStats())
    assert batch.timestamp_ns.tolist() == [*range(10), *range(20, 30), *range(40, 50)]
    assert batch.line[10].as_py() == "line 20"


def test_work_is_left_for_every_thread():
    units = [Piece(at) for at in range(0, 80, 10)]

    assert sizes(small_joined(units, groups_min=2, columns=LINES)) == [40, 40]


def test_large_units_and_other_streams_stay_apart():
    """Nothing is moved: units keep their order."""
    large = Piece(0, rows_max=2 * JOINED_ROWS_MAX)
    units = [Piece(0), large, Piece(20), Piece(30, streams=OTHERS)]

    assert small_joined(units, groups_min=1, columns=LINES) == units


def test_units_that_are_counted_from_times_stay_apart():
    units = [Piece(0), Piece(20)]

    found = small_joined(units, groups_min=1, columns=Columns(line=False))

    assert found == units
    assert not any(isinstance(unit, JoinedUnits) for unit in found)
