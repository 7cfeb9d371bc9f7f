"""Pipelines: compiled stages, each told what the later ones read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loki_py.logql import ast
from loki_py.logql.exec.frame import (
    ERROR,
    ERROR_DETAILS,
    Frame,
    Rows,
    frame_of,
    metadata_sources,
)
from loki_py.logql.exec.stream_table import StreamTable
from loki_py.logql.stages.captures import pattern, regexp
from loki_py.logql.stages.drop_keep import decolorize, drop, keep, kept_names
from loki_py.logql.stages.drop_keep import reads as drop_keep_reads
from loki_py.logql.stages.formats import (
    label_format,
    label_reads,
    line_format,
    line_reads,
)
from loki_py.logql.stages.json_fields import json
from loki_py.logql.stages.json_known import learn_lines
from loki_py.logql.stages.label_filter import label_filter, names_of
from loki_py.logql.stages.label_filter import reads as label_filter_reads
from loki_py.logql.stages.label_filter import test_of as filter_test
from loki_py.logql.stages.leading import SurvivingLines
from loki_py.logql.stages.line_chunks import LiteralSearch
from loki_py.logql.stages.line_filter import line_filter, literals_of, test_of
from loki_py.logql.stages.logfmt_fields import logfmt
from loki_py.logql.stages.stage import Apply, Hints, Names, Test, Wants, common, union
from loki_py.logql.stages.unpack import unpack
from loki_py.model.batch import EntryBatch
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import Columns

Build = Callable[[Any, Wants], Apply]


@dataclass(frozen=True, slots=True)
class StageKind:
    """How a kind of stage is made, and what it reads.

    Attributes:
        build: the stage's function, for what later stages want.
        labels: the label names that it reads.
        line: whether it reads the line.
        passes: the only labels that are left behind it; None for all.
    """

    build: Build
    labels: Callable[[Any], Names] = lambda _: frozenset()
    line: bool = True
    passes: Callable[[Any], Names] = lambda _: None


STAGES: dict[type, StageKind] = {
    ast.LineFilter: StageKind(line_filter),
    ast.JsonParser: StageKind(json),
    ast.LogfmtParser: StageKind(logfmt),
    ast.RegexpParser: StageKind(regexp),
    ast.PatternParser: StageKind(pattern),
    ast.UnpackParser: StageKind(unpack),
    ast.LabelFilterStage: StageKind(label_filter, label_filter_reads, line=False),
    ast.LineFormat: StageKind(line_format, line_reads),
    ast.LabelFormat: StageKind(label_format, label_reads),
    ast.Drop: StageKind(drop, drop_keep_reads, line=False),
    ast.Keep: StageKind(keep, drop_keep_reads, line=False, passes=kept_names),
    ast.Decolorize: StageKind(decolorize),
}
"""Every stage of the language; adding one is a row here and a file beside."""


_EXTRACTING = ast.JsonParser | ast.LogfmtParser | ast.UnpackParser
_BY_LINE = ast.LineFormat | ast.LabelFormat | ast.UnpackParser | ast.Decolorize


class Pipeline:
    """Stages in order, compiled for what the caller reads of their result.

    Args:
        picks_lines: whether a reader may leave out lines one by one that lack what
            is sought. That pays where much else is read of each line.

    Attributes:
        columns: what a reader must load for it.
        extracts_all: whether some parser extracts every label of a line.
        is_empty: whether there are no stages, so that every row survives.
        by_line: whether a stage may look at lines one by one, and so be slow.
    """

    def __init__(
        self, stages: Sequence[ast.Stage], wants: Wants, *, picks_lines: bool = False
    ) -> None:
        self.is_empty = not stages
        leading = 0
        while leading < len(stages) and isinstance(stages[leading], ast.LineFilter):
            leading += 1
        self._line_tests = [
            test_of(stage)
            for stage in stages[:leading]
            if isinstance(stage, ast.LineFilter)
        ]
        self._literals = literals_of(tuple(stages[:leading]))
        self._needles = label_needles(stages[leading:])
        # What is all over one batch is so in the others; a hint that threads share.
        self._coarse = True
        applied: list[Apply] = []
        for stage in reversed(stages[leading:]):
            kind = STAGES[type(stage)]
            applied.append(kind.build(stage, wants))
            wants = replace(
                wants,
                labels=union(
                    common(wants.labels, kind.passes(stage)), kind.labels(stage)
                ),
                line=wants.line or kind.line,
            )
        self._stages = applied[::-1]
        parses = any(isinstance(stage, _EXTRACTING) for stage in stages)
        self.extracts_all = parses and wants.labels is None
        self.by_line = self.extracts_all or any(
            isinstance(stage, _BY_LINE) for stage in stages
        )
        self._reads_line = wants.line
        first = stages[leading] if leading < len(stages) else None
        self._reads_json = isinstance(first, ast.JsonParser | ast.UnpackParser)
        names = wants.labels
        # Whether a stored name is taken decides what a parsed label is called.
        self._metadata = None
        if names is not None:
            self._metadata = metadata_sources(names - {ERROR, ERROR_DETAILS})
        self.columns = Columns(
            line=wants.line or bool(self._line_tests),
            metadata=self._metadata,
            in_place=True,
            search=LiteralSearch.of(self._literals, picks_lines=picks_lines),
        )

    def run(self, batch: EntryBatch, table: StreamTable) -> Frame:
        """Return the rows that survive, with the wanted labels."""
        rows: Rows | None = None
        lines = None
        if self.columns.line:
            needles = self._needles_in(batch, table)
            search = self.columns.search
            is_dense = search is not None and search.is_dense and not needles
            found = SurvivingLines(
                batch.line,
                self._literals,
                needles,
                coarse=self._coarse and not is_dense,
            )
            if found.is_dense:
                self._coarse = False
            found.test(self._line_tests, lines_read=self._reads_line)
            lines, rows = found.lines, found.rows
            if self._reads_json and rows is not None:
                learn_lines(batch, len(rows))
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

    def _needles_in(self, batch: EntryBatch, table: StreamTable) -> list[str]:
        """Return texts that labels of surviving lines come from."""
        if batch.metadata_rest is not None:
            return []
        return [
            text
            for name, text in self._needles
            if table.column(name) is None
            and batch.metadata.keys().isdisjoint(metadata_sources(frozenset([name])))
        ]


def label_needles(stages: Sequence[ast.Stage]) -> list[tuple[str, str]]:
    """Return (label, text) pairs that filters right after a parser ask for.

    A line without the text, and without escapes that could spell it, does not
    get the label with that value from the parser.
    """
    if not stages or not isinstance(stages[0], ast.JsonParser | ast.LogfmtParser):
        return []
    if stages[0].extractions:
        return []
    rest: list[ast.LabelFilter] = []
    for stage in stages[1:]:
        if not isinstance(stage, ast.LabelFilterStage):
            break
        rest.append(stage.filter)
    found = []
    while rest:
        match rest.pop():
            case ast.AndFilter(left, right):
                rest += [left, right]
            case ast.StringFilter(Matcher(name, MatchType.EQUAL, value)) if value:
                found.append((name, value))
            case _:
                pass
    return [pair for pair in found if pair[0] not in {ERROR, ERROR_DETAILS}]


def hints_of(
    stages: Sequence[ast.Stage], *, grouping: Names, also: frozenset[str] = frozenset()
) -> Hints:
    """Return what a query's parsers are told.

    Args:
        grouping: the only labels that the result shows; None for all.
        also: labels that are read after the stages.
    """
    filters: dict[str, Test] = {}
    for stage in stages:
        if isinstance(stage, ast.LabelFilterStage) and not isinstance(
            stage.filter, ast.AndFilter | ast.OrFilter
        ):
            (name,) = names_of(stage.filter)
            filters.setdefault(name, filter_test(stage.filter))
    required: Names = None
    if grouping is not None:
        required = grouping | also
        for stage in stages:
            required = union(required, _required(stage))
    return Hints(
        required=None if required is None else metadata_sources(required),
        preserve_error=required is not None and ERROR in required,
        filters=filters,
    )


def _required(stage: ast.Stage) -> Names:
    if isinstance(stage, ast.LabelFilterStage):
        return names_of(stage.filter)
    return STAGES[type(stage)].labels(stage)
