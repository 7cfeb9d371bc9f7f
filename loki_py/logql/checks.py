"""Check what the grammar takes as text: templates, patterns, paths, addresses."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from loki_py.errors import QueryInvalid
from loki_py.logql.ast import (
    AndFilter,
    Decolorize,
    IpFilter,
    JsonParser,
    LabelFilter,
    LabelFilterStage,
    LabelFormat,
    LabelTemplate,
    LineFilter,
    LineFilterOp,
    LineFormat,
    LogQuery,
    OrFilter,
    Stage,
    UnpackParser,
)
from loki_py.logql.ast_metric import (
    BinaryOperation,
    Expr,
    LabelReplace,
    RangeAggregation,
    Unwrap,
    VectorAggregation,
)
from loki_py.logql.ips import IpPatternInvalid, parse_ip_pattern
from loki_py.logql.paths import PathInvalid, parse_path
from loki_py.logql.patterns import PatternInvalid, parse_line_pattern
from loki_py.logql.printer import print_label_filter, print_stage
from loki_py.logql.regexps import RegexpInvalid, compile_regexp
from loki_py.logql.template.errors import TemplateInvalid
from loki_py.logql.template.template import compile_template

TEMPLATE_CHARS_MAX = 16_384
"""Longer templates would take too long to compile."""

_ERROR_LABEL = "__error__"
_BARRIERS = (LineFormat, UnpackParser, Decolorize)
"""Stages that change the line; filters are evaluated in one go between them."""


class _StageInvalid(ValueError):
    """What is wrong with one stage."""


_FAULTS = (
    _StageInvalid,
    IpPatternInvalid,
    PathInvalid,
    PatternInvalid,
    RegexpInvalid,
)


def check_stages(expr: Expr) -> None:
    """Check every stage of the query.

    Raises: QueryInvalid naming the first bad stage.
    """
    for query, unwrap in _pipelines(expr):
        for text, run in _runs(query.stages):
            _check_run(run, text)
        for tree in unwrap.filters if unwrap else ():
            _check_run([LabelFilterStage(tree)], f"| {print_label_filter(tree)}")


def _pipelines(expr: Expr) -> Iterator[tuple[LogQuery, Unwrap | None]]:
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        match node:
            case LogQuery():
                yield node, None
            case RangeAggregation():
                yield node.range.query, node.range.unwrap
            case VectorAggregation() | LabelReplace():
                waiting.append(node.operand)
            case BinaryOperation():
                waiting += [node.right, node.left]
            case _:
                pass


def _runs(stages: Sequence[Stage]) -> Iterator[tuple[str, list[Stage]]]:
    """Yield what is evaluated together: line filters come first, as one."""
    for is_barrier, group in groupby(stages, lambda s: isinstance(s, _BARRIERS)):
        segment = list(group)
        filters = [stage for stage in segment if isinstance(stage, LineFilter)]
        if filters and not is_barrier:
            yield " ".join(map(print_stage, filters)), list(filters)
        for stage in segment:
            if not isinstance(stage, LineFilter):
                yield print_stage(stage), [stage]


def _check_run(stages: Sequence[Stage], text: str) -> None:
    for stage in stages:
        try:
            _check_stage(stage)
        except _FAULTS as error:
            raise QueryInvalid(f"parse error : stage '{text}' : {error}") from None


def _check_stage(stage: Stage) -> None:
    match stage:
        case LineFilter():
            _check_line_filter(stage)
        case JsonParser():
            for extraction in stage.extractions:
                parse_path(extraction.expression)
        case LabelFilterStage():
            _check_label_filter(stage.filter)
        case LineFormat():
            _check_template(stage.template, name="line", what="line template")
        case LabelFormat():
            _check_label_format(stage)
        case _:
            pass


def _check_line_filter(stage: LineFilter) -> None:
    for term in stage.terms:
        if term.is_ip:
            if stage.op not in {LineFilterOp.CONTAINS, LineFilterOp.NOT_CONTAINS}:
                raise _StageInvalid("ip: invalid operation")
            parse_ip_pattern(term.value)
        elif stage.op in {LineFilterOp.REGEXP, LineFilterOp.NOT_REGEXP}:
            compile_regexp(term.value)
        elif stage.op in {LineFilterOp.PATTERN, LineFilterOp.NOT_PATTERN}:
            parse_line_pattern(term.value)


def _check_label_filter(tree: LabelFilter) -> None:
    match tree:
        case IpFilter():
            parse_ip_pattern(tree.pattern)
        case AndFilter() | OrFilter():
            _check_label_filter(tree.left)
            _check_label_filter(tree.right)
        case _:
            pass


def _check_label_format(stage: LabelFormat) -> None:
    targets = set()
    for assignment in stage.assignments:
        target = assignment.target
        if target == _ERROR_LABEL:
            raise _StageInvalid(f"{target} cannot be formatted")
        if target in targets:
            raise _StageInvalid(
                f"multiple label name '{target}' not allowed in a single format "
                "operation"
            )
        targets.add(target)
    for assignment in stage.assignments:
        if isinstance(assignment, LabelTemplate):
            _check_template(
                assignment.template,
                name="label",
                what=f"template for label '{assignment.target}'",
            )


def _check_template(source: str, *, name: str, what: str) -> None:
    if len(source) > TEMPLATE_CHARS_MAX:
        raise _StageInvalid(
            f"{what} has {len(source)} characters; limit is {TEMPLATE_CHARS_MAX}"
        )
    try:
        compile_template(source, name=name)
    except TemplateInvalid as error:
        raise _StageInvalid(f"invalid {what}: {error}") from None
