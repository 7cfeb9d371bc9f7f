"""Pipelines: compiled stages, each told what the later ones read."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from loki_py.logql import ast
from loki_py.logql.exec.frame import (
    Frame,
    Rows,
    StreamTable,
    frame_of,
    metadata_sources,
)
from loki_py.logql.stages.line_filter import line_filter, test_of
from loki_py.logql.stages.stage import Apply, Hints, Names, Wants, union
from loki_py.model.batch import EntryBatch
from loki_py.model.scan import Columns

Build = Callable[[Any, Wants], Apply]

STAGES: dict[type, tuple[Build, Callable[[Any], Names], bool]] = {
    ast.LineFilter: (line_filter, lambda _: frozenset(), True),
}
"""Stage to (how to make it, the labels it reads, whether it reads the line)."""


class Pipeline:
    """Stages in order, compiled for what the caller reads of their result.

    Attributes:
        columns: what a reader must load for it.
    """

    def __init__(self, stages: Sequence[ast.Stage], wants: Wants) -> None:
        leading = 0
        while leading < len(stages) and isinstance(stages[leading], ast.LineFilter):
            leading += 1
        self._line_tests = [
            test_of(stage)
            for stage in stages[:leading]
            if isinstance(stage, ast.LineFilter)
        ]
        applied: list[Apply] = []
        for stage in reversed(stages[leading:]):
            build, reads, reads_line = STAGES[type(stage)]
            applied.append(build(stage, wants))
            wants = replace(
                wants,
                labels=union(wants.labels, reads(stage)),
                line=wants.line or reads_line,
            )
        self._stages = applied[::-1]
        self._reads_line = wants.line
        names = wants.labels
        # Whether a stored name is taken decides what a parsed label is called.
        self._metadata = None if names is None else metadata_sources(names)
        self.columns = Columns(
            line=wants.line or bool(self._line_tests), metadata=self._metadata
        )

    def run(self, batch: EntryBatch, table: StreamTable) -> Frame:
        """Return the rows that survive, with the wanted labels."""
        rows: Rows | None = None
        lines = None
        if self.columns.line:
            lines = pl.Series(pl.from_arrow(batch.line))
            for test in self._line_tests:
                keep = test(lines)
                if not keep.all():
                    rows = np.flatnonzero(keep) if rows is None else rows[keep]
                    lines = lines.filter(pl.Series(keep))
        frame = frame_of(
            batch,
            table,
            metadata_wanted=self._metadata,
            rows=rows,
            lines=lines if self._reads_line else None,
        )
        for stage in self._stages:
            if len(frame) == 0:
                break
            stage(frame)
        return frame


def hints_of(stages: Sequence[ast.Stage], *, result: Names) -> Hints:
    """Return what a query's parsers are told.

    Args:
        result: the labels that the result shows; None for all.
    """
    del stages
    return Hints(required=result)
