"""Parse selectors and pipelines."""

from collections.abc import Callable

from loki_py.errors import QueryInvalid
from loki_py.logql.ast import (
    Decolorize,
    Drop,
    JsonExtraction,
    JsonParser,
    Keep,
    LabelFilter,
    LabelFilterStage,
    LabelFormat,
    LabelRename,
    LabelTarget,
    LabelTemplate,
    LineFilter,
    LineFilterOp,
    LineFormat,
    LineTerm,
    LogfmtExtraction,
    LogfmtParser,
    PatternParser,
    RegexpParser,
    Stage,
    UnpackParser,
)
from loki_py.logql.ast_metric import Unwrap, UnwrapConversion
from loki_py.logql.cursor import Cursor
from loki_py.logql.parser_filter import (
    MATCH_TYPES,
    new_matcher,
    parse_ip_call,
    parse_label_filter,
)
from loki_py.logql.patterns import PatternInvalid, parse_pattern
from loki_py.logql.regexps import RegexpInvalid, compile_regexp, group_names
from loki_py.logql.tokens import Kind
from loki_py.model.labels import NAME_PATTERN

_LINE_FILTERS = {
    Kind.PIPE_EXACT: LineFilterOp.CONTAINS,
    Kind.NEQ: LineFilterOp.NOT_CONTAINS,
    Kind.PIPE_MATCH: LineFilterOp.REGEXP,
    Kind.NRE: LineFilterOp.NOT_REGEXP,
    Kind.PIPE_PATTERN: LineFilterOp.PATTERN,
    Kind.NPA: LineFilterOp.NOT_PATTERN,
}
_CONVERSIONS = {
    Kind.BYTES_CONV: UnwrapConversion.BYTES,
    Kind.DURATION_CONV: UnwrapConversion.DURATION,
    Kind.DURATION_SECONDS_CONV: UnwrapConversion.DURATION_SECONDS,
}


def parse_pipeline(
    cursor: Cursor, *, allows_unwrap: bool = False
) -> tuple[tuple[Stage, ...], Unwrap | None]:
    """Return the stages that follow a selector, up to what is no stage."""
    stages: list[Stage] = []
    while True:
        if cursor.kind in _LINE_FILTERS:
            stages.append(_line_filter(cursor))
        elif cursor.take_if(Kind.PIPE):
            if allows_unwrap and cursor.kind is Kind.UNWRAP:
                return tuple(stages), _unwrap(cursor)
            stages.append(_piped(cursor))
        else:
            return tuple(stages), None


def _line_filter(cursor: Cursor) -> LineFilter:
    op = _LINE_FILTERS[cursor.take().kind]
    terms = [_line_term(cursor)]
    while cursor.take_if(Kind.OR):
        terms.append(_line_term(cursor))
    return LineFilter(op, tuple(terms))


def _line_term(cursor: Cursor) -> LineTerm:
    if cursor.kind is Kind.IP:
        return LineTerm(parse_ip_call(cursor), is_ip=True)
    return LineTerm(str(cursor.expect(Kind.STRING, Kind.IP).value))


def _piped(cursor: Cursor) -> Stage:
    if cursor.kind in {Kind.IDENTIFIER, Kind.OPEN_PARENTHESIS}:
        return LabelFilterStage(parse_label_filter(cursor))
    parse = _STAGES.get(cursor.kind)
    if parse is None:
        raise cursor.unexpected()
    cursor.take()
    return parse(cursor)


def _json(cursor: Cursor) -> JsonParser:
    return JsonParser(tuple(JsonExtraction(*pair) for pair in _extractions(cursor)))


def _logfmt(cursor: Cursor) -> LogfmtParser:
    flags = set()
    while cursor.kind is Kind.FLAG:
        flags.add(cursor.take().value)
    return LogfmtParser(
        tuple(LogfmtExtraction(*pair) for pair in _extractions(cursor)),
        strict="--strict" in flags,
        keep_empty="--keep-empty" in flags,
    )


def _extractions(cursor: Cursor) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if cursor.kind is not Kind.IDENTIFIER:
        return pairs
    while True:
        name = cursor.expect_text(Kind.IDENTIFIER)
        has_text = cursor.take_if(Kind.EQ)
        pairs.append((name, cursor.expect_text(Kind.STRING) if has_text else name))
        if not cursor.take_if(Kind.COMMA):
            return pairs


def _regexp(cursor: Cursor) -> RegexpParser:
    pattern = cursor.expect_text(Kind.STRING)
    try:
        compile_regexp(pattern)
    except RegexpInvalid as error:
        raise QueryInvalid(f"parse error : invalid regexp parser: {error}") from None
    names = group_names(pattern)
    fault = "" if names else "at least one named capture must be supplied"
    seen: set[str] = set()
    for name in names:
        if not NAME_PATTERN.fullmatch(name):
            fault = f"invalid extracted label name '{name}'"
        elif name in seen:
            fault = f"duplicate extracted label name '{name}'"
        seen.add(name)
        if fault:
            break
    if fault:
        raise QueryInvalid(f"parse error : invalid regexp parser: {fault}")
    return RegexpParser(pattern)


def _pattern(cursor: Cursor) -> PatternParser:
    pattern = cursor.expect_text(Kind.STRING)
    try:
        parse_pattern(pattern)
    except PatternInvalid as error:
        raise QueryInvalid(f"parse error : invalid pattern parser: {error}") from None
    return PatternParser(pattern)


def _line_format(cursor: Cursor) -> LineFormat:
    return LineFormat(cursor.expect_text(Kind.STRING))


def _label_format(cursor: Cursor) -> LabelFormat:
    assignments: list[LabelRename | LabelTemplate] = []
    while True:
        target = cursor.expect_text(Kind.IDENTIFIER)
        cursor.expect(Kind.EQ)
        token = cursor.expect(Kind.IDENTIFIER, Kind.STRING)
        text = str(token.value)
        if token.kind is Kind.IDENTIFIER:
            assignments.append(LabelRename(target, text))
        else:
            assignments.append(LabelTemplate(target, text))
        if not cursor.take_if(Kind.COMMA):
            return LabelFormat(tuple(assignments))


def _targets(cursor: Cursor) -> tuple[LabelTarget, ...]:
    targets = []
    while True:
        name = cursor.expect_text(Kind.IDENTIFIER)
        match_type = MATCH_TYPES.get(cursor.kind)
        if match_type is None:
            targets.append(LabelTarget(name))
        else:
            cursor.take()
            value = cursor.expect_text(Kind.STRING)
            targets.append(LabelTarget(name, new_matcher(name, match_type, value)))
        if not cursor.take_if(Kind.COMMA):
            return tuple(targets)


_STAGES: dict[Kind, Callable[[Cursor], Stage]] = {
    Kind.JSON: _json,
    Kind.LOGFMT: _logfmt,
    Kind.REGEXP: _regexp,
    Kind.PATTERN: _pattern,
    Kind.UNPACK: lambda _: UnpackParser(),
    Kind.LINE_FORMAT: _line_format,
    Kind.LABEL_FORMAT: _label_format,
    Kind.DECOLORIZE: lambda _: Decolorize(),
    Kind.DROP: lambda cursor: Drop(_targets(cursor)),
    Kind.KEEP: lambda cursor: Keep(_targets(cursor)),
}


def _unwrap(cursor: Cursor) -> Unwrap:
    cursor.expect(Kind.UNWRAP)
    token = cursor.expect(Kind.IDENTIFIER, *_CONVERSIONS)
    conversion = _CONVERSIONS.get(token.kind)
    label = str(token.value)
    if conversion is not None:
        cursor.expect(Kind.OPEN_PARENTHESIS)
        label = cursor.expect_text(Kind.IDENTIFIER)
        cursor.expect(Kind.CLOSE_PARENTHESIS)
    filters: list[LabelFilter] = []
    while cursor.take_if(Kind.PIPE):
        filters.append(parse_label_filter(cursor))
    return Unwrap(label, conversion, tuple(filters))
