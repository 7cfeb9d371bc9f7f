"""Searching blocks of one file for what a scan seeks, before rows are read of them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loki_py.chunks.block_parts import BlockPart
from loki_py.chunks.line_runs import LineRuns, sampled
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.line_search import SEARCHED_ROWS_MIN, LineSearch
from loki_py.model.scan import Columns, ReadStats, no_rows
from loki_py.model.views import viewed_in


class SearchableUnit(Protocol):
    """A block of a file, as far as a scan wants it."""

    @property
    def part(self) -> BlockPart: ...

    @property
    def streams(self) -> Sequence[LabelSet]: ...

    @property
    def rows_max(self) -> int: ...

    @property
    def buffer(self) -> "pa.Buffer":
        """The file that it lies in."""
        ...

    def line_runs(self, part: BlockPart | None = None) -> LineRuns | None:
        """Return the lines in runs; None where they are not worth searching.

        Args:
            part: of which lines, if not of all.
        """
        ...

    def found(
        self,
        runs: LineRuns,
        hits: npt.NDArray[np.bool_],
        columns: Columns,
        stats: ReadStats,
    ) -> EntryBatch | None:
        """Return the wanted rows in some of the runs of lines; None for no rows."""
        ...


def searched(
    units: Sequence[SearchableUnit], columns: Columns, stats: ReadStats
) -> list[EntryBatch] | None:
    """Return the wanted rows around what is sought; None where all are wanted."""
    search = columns.search
    if search is None or not columns.line:
        return None
    if sum(unit.rows_max for unit in units) < SEARCHED_ROWS_MIN:
        return None
    if len(units) > 1 and not search.is_tried:
        _try(units[0], search)
    if search.is_dense and not search.picks_lines:
        return None
    searched = _search(units, search)
    if searched is None:
        return None
    found = [
        unit.found(runs, hits, columns, stats)
        for unit, (runs, hits) in zip(units, searched, strict=True)
    ]
    some = [batch for batch in found if batch is not None and len(batch)]
    return some or [no_rows(units[0].streams, columns)]


def _try(unit: SearchableUnit, search: LineSearch) -> None:
    """Have the search learn whether what it seeks is all over the lines.

    What is all over some lines of the first block is all over the others.
    """
    runs = unit.line_runs(sampled(unit.part))
    if runs is None:
        return
    runs = runs.sample()
    counts = runs.last - runs.first
    search.learn(_texts_of(unit, [runs.by_line()]), np.cumsum(counts) - counts)


def _search(
    units: Sequence[SearchableUnit], search: LineSearch
) -> list[tuple[LineRuns, npt.NDArray[np.bool_]]] | None:
    """Return the runs of lines of each block and which hold what is sought.

    Runs of one line where most longer ones hold it. None where runs are too many,
    or too many hold it.
    """
    runs = [each for each in (unit.line_runs() for unit in units) if each is not None]
    if len(runs) < len(units):
        return None
    hits = None
    if not search.is_dense:
        hits = search.holding(_texts_of(units[0], runs))
    if hits is None and search.picks_lines:
        runs = [each.by_line() for each in runs]
        hits = search.lines_holding(_texts_of(units[0], runs))
    if hits is None:
        return None
    ends = np.cumsum([len(each.first) for each in runs])[:-1]
    return list(zip(runs, np.split(hits, ends), strict=True))


def _texts_of(unit: SearchableUnit, runs: Sequence[LineRuns]) -> "pa.StringViewArray":
    """Return the texts of runs of one file, where they lie."""
    return viewed_in(
        unit.buffer,
        np.concatenate([each.start for each in runs]),
        np.concatenate([each.length for each in runs]),
    )
