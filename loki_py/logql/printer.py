"""Print a syntax tree as canonical text, which parses to an equal tree.

Two losses are the language's own: sizes are printed with one decimal, and
ranges to the millisecond.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from loki_py.logql.ast import (
    AndFilter,
    BytesFilter,
    Decolorize,
    Drop,
    DurationFilter,
    IpFilter,
    JsonParser,
    Keep,
    LabelFilter,
    LabelFilterStage,
    LabelFormat,
    LabelRename,
    LabelTarget,
    LineFilter,
    LineFormat,
    LineTerm,
    LogfmtParser,
    LogQuery,
    NumberFilter,
    OrFilter,
    PatternParser,
    RegexpParser,
    Stage,
    StringFilter,
    UnpackParser,
)
from loki_py.logql.ast_metric import (
    BinaryOperation,
    Expr,
    Grouping,
    LabelReplace,
    Literal,
    LogRange,
    MatchCardinality,
    RangeAggregation,
    Unwrap,
    Vector,
    VectorAggregation,
)
from loki_py.logql.literals import (
    print_bytes,
    print_float,
    print_go_duration,
    print_prometheus_duration,
)
from loki_py.model.labels import quote
from loki_py.model.matchers import Matcher


def print_expr(expr: Expr) -> str:
    """Return the canonical text of a query, on one line."""
    match expr:
        case LogQuery():
            return print_log_query(expr)
        case RangeAggregation():
            parameter = "" if expr.parameter is None else _plain(expr.parameter) + ","
            grouping = "" if expr.grouping is None else print_grouping(expr.grouping)
            body = print_log_range(expr.range)
            return f"{expr.function.value}({parameter}{body}){grouping}"
        case VectorAggregation():
            parameter = "" if expr.parameter is None else f"{expr.parameter},"
            head = expr.function.value + vector_grouping(expr.grouping)
            return f"{head}({parameter}{print_expr(expr.operand)})"
        case BinaryOperation():
            left, right = print_expr(expr.left), print_expr(expr.right)
            return f"({left} {print_operator(expr)} {right})"
        case Literal():
            return print_float(expr.value)
        case Vector():
            return f"vector({expr.value:f})"
        case LabelReplace():
            texts = ",".join(label_replace_texts(expr))
            return f"label_replace({print_expr(expr.operand)},{texts})"


def print_matchers(matchers: Iterable[Matcher]) -> str:
    """Return `{a="1", b=~"2"}`."""
    return "{" + ", ".join(map(str, matchers)) + "}"


def print_log_query(query: LogQuery) -> str:
    """Return the selector and its stages on one line."""
    return " ".join([print_matchers(query.matchers), *map(print_stage, query.stages)])


def stage_texts(stages: Sequence[Stage]) -> list[str]:
    """Return one text a stage, neighbouring line filters together."""
    texts: list[str] = []
    for is_filter, run in groupby(stages, lambda s: isinstance(s, LineFilter)):
        printed = [print_stage(stage) for stage in run]
        texts.extend([" ".join(printed)] if is_filter else printed)
    return texts


def print_log_range(log_range: LogRange) -> str:
    """Return `{…} | unwrap x[5m] offset 1h0m0s`."""
    unwrap = "" if log_range.unwrap is None else f" {print_unwrap(log_range.unwrap)}"
    return f"{print_log_query(log_range.query)}{unwrap}{print_window(log_range)}"


def print_window(log_range: LogRange) -> str:
    """Return `[5m] offset 1h0m0s`."""
    text = f"[{print_prometheus_duration(log_range.range_ns)}]"
    if log_range.offset_ns:
        text += f" offset {print_go_duration(log_range.offset_ns)}"
    return text


def print_unwrap(unwrap: Unwrap) -> str:
    """Return `| unwrap bytes(size) | filter`."""
    label = unwrap.label
    if unwrap.conversion is not None:
        label = f"{unwrap.conversion.value}({label})"
    filters = "".join(f" | {print_label_filter(tree)}" for tree in unwrap.filters)
    return f"| unwrap {label}{filters}"


def print_stage(stage: Stage) -> str:  # noqa: C901 - one case a stage
    """Return one stage with its pipe or operator."""
    match stage:
        case LineFilter():
            terms = " or ".join(map(_line_term, stage.terms))
            return f"{stage.op.value} {terms}"
        case JsonParser():
            return "| json" + _assignments(
                (item.name, quote(item.expression)) for item in stage.extractions
            )
        case LogfmtParser():
            flags = " --strict" if stage.strict else ""
            flags += " --keep-empty" if stage.keep_empty else ""
            return f"| logfmt{flags}" + _assignments(
                (item.name, quote(item.key)) for item in stage.extractions
            )
        case RegexpParser():
            return f"| regexp {quote(stage.pattern)}"
        case PatternParser():
            return f"| pattern {quote(stage.pattern)}"
        case UnpackParser():
            return "| unpack"
        case LabelFilterStage():
            return f"| {print_label_filter(stage.filter)}"
        case LineFormat():
            return f"| line_format {quote(stage.template)}"
        case LabelFormat():
            return "| label_format" + _assignments(
                (item.target, item.source)
                if isinstance(item, LabelRename)
                else (item.target, quote(item.template))
                for item in stage.assignments
            )
        case Decolorize():
            return "| decolorize"
        case Drop():
            return f"| drop {_targets(stage.targets)}"
        case Keep():
            return f"| keep {_targets(stage.targets)}"


def print_label_filter(tree: LabelFilter) -> str:
    """Return a label filter; and, or are in parentheses."""
    match tree:
        case StringFilter():
            return str(tree.matcher)
        case NumberFilter():
            return f"{tree.name}{tree.op.value}{_plain(tree.value)}"
        case DurationFilter():
            return f"{tree.name}{tree.op.value}{print_go_duration(tree.value_ns)}"
        case BytesFilter():
            return f"{tree.name}{tree.op.value}{print_bytes(tree.value_bytes)}"
        case IpFilter():
            op = "!=" if tree.is_negative else "="
            return f"{tree.name}{op}ip({quote(tree.pattern)})"
        case AndFilter():
            left, right = print_label_filter(tree.left), print_label_filter(tree.right)
            return f"( {left} , {right} )"
        case OrFilter():
            left, right = print_label_filter(tree.left), print_label_filter(tree.right)
            return f"( {left} or {right} )"


def print_operator(operation: BinaryOperation) -> str:
    """Return the operator and its modifiers, `> bool on (a) group_left (b)`."""
    parts = [operation.op.value]
    if operation.returns_bool:
        parts.append("bool")
    matching = operation.matching
    if matching is not None:
        parts.append("on" if matching.on else "ignoring")
        parts.append(f"({','.join(matching.labels)})")
        if matching.cardinality is not MatchCardinality.ONE_TO_ONE:
            parts.append(matching.cardinality.value)
            parts.append(f"({','.join(matching.include)})")
    return " ".join(parts)


def label_replace_texts(expr: LabelReplace) -> list[str]:
    """Return the quoted text arguments of label_replace in order."""
    return [
        quote(text)
        for text in (expr.target, expr.replacement, expr.source, expr.pattern)
    ]


def vector_grouping(grouping: Grouping | None) -> str:
    """Return ` by (a,b)`; "" where everything is one group anyway."""
    if grouping is None or (not grouping.labels and not grouping.without):
        return ""
    return print_grouping(grouping)


def print_grouping(grouping: Grouping) -> str:
    """Return ` by (a,b)` or ` without (a,b)`."""
    word = "without" if grouping.without else "by"
    return f" {word} ({','.join(grouping.labels)})"


def _plain(value: float) -> str:
    return print_float(value, exponent=False)


def _line_term(term: LineTerm) -> str:
    return f"ip({quote(term.value)})" if term.is_ip else quote(term.value)


def _assignments(pairs: Iterable[tuple[str, str]]) -> str:
    text = ",".join(f"{name}={value}" for name, value in pairs)
    return f" {text}" if text else ""


def _targets(targets: Iterable[LabelTarget]) -> str:
    return ",".join(
        target.name if target.matcher is None else str(target.matcher)
        for target in targets
    )
