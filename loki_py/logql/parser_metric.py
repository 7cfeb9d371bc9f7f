"""Parse metric expressions, and log queries where they may stand.

Mistakes of meaning do not stop the parse, because a mistake of form further on
is reported first. They are collected in `MetricParser.faults`; of two, the
outer and then the left one counts.
"""

from dataclasses import dataclass

from loki_py.logql.ast import LogQuery
from loki_py.logql.ast_metric import (
    BinaryOp,
    BinaryOperation,
    Expr,
    Grouping,
    LabelReplace,
    Literal,
    MatchCardinality,
    MetricExpr,
    RangeFunction,
    Vector,
    VectorAggregation,
    VectorFunction,
    VectorMatching,
)
from loki_py.logql.cursor import DEPTH_MAX, Cursor, too_deep
from loki_py.logql.folding import folded
from loki_py.logql.parser_filter import number_of, parse_matchers, parse_number
from loki_py.logql.parser_log import parse_pipeline
from loki_py.logql.parser_range import (
    parse_grouping,
    parse_label_names,
    parse_range_aggregation,
)
from loki_py.logql.regexps import RegexpInvalid, compile_regexp
from loki_py.logql.rules import (
    SELECTOR_TOO_WIDE,
    is_selective,
    sort_fault,
    vector_parameter,
)
from loki_py.logql.tokens import Kind

_RANGE_FUNCTIONS = {Kind[function.name]: function for function in RangeFunction}
_VECTOR_FUNCTIONS = {Kind[function.name]: function for function in VectorFunction}
_OPERATORS = {
    Kind.CMP_EQ if op is BinaryOp.EQUAL else Kind(op.value): op for op in BinaryOp
}
_CARDINALITIES = {
    Kind.GROUP_LEFT: MatchCardinality.GROUP_LEFT,
    Kind.GROUP_RIGHT: MatchCardinality.GROUP_RIGHT,
}
_ONE_GROUP = Grouping(())
_STAND_IN = Vector(0)
"""Takes the place of a node that has a fault; never leaves a failed parse."""


@dataclass(frozen=True, slots=True)
class _Operand:
    """An expression and the height of its tree."""

    expr: Expr
    height: int = 1


@dataclass(frozen=True, slots=True)
class _Modifier:
    returns_bool: bool
    matching: VectorMatching | None


class MetricParser:
    """Parses one expression from a cursor.

    Attributes:
        faults: what is wrong with the meaning, most important first.
    """

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.faults: list[str] = []

    def parse(self) -> Expr:
        """Return the expression; it ends where the text ends.

        Raises: QueryInvalid for the first mistake of form.
        """
        operand = self._expr()
        if self._cursor.kind is not Kind.END:
            raise self._cursor.unexpected()
        return operand.expr

    def _expr(self, precedence: int = 1, left: _Operand | None = None) -> _Operand:
        """Return operands joined by operators of at least this precedence."""
        cursor = self._cursor
        with cursor.nested():
            mark = len(self.faults)
            left = left or self._primary()
            while True:
                op = _OPERATORS.get(cursor.kind)
                if op is None or op.precedence < precedence:
                    return left
                cursor.take()
                modifier = self._modifier()
                # Powers group from the right, all others from the left.
                right = self._expr(op.precedence + (op is not BinaryOp.POWER))
                left = self._joined(op, modifier, left, right, mark)

    def _joined(
        self,
        op: BinaryOp,
        modifier: _Modifier,
        left: _Operand,
        right: _Operand,
        mark: int,
    ) -> _Operand:
        for side, operand in (("left", left), ("right", right)):
            if isinstance(operand.expr, LogQuery):
                kind = "PipelineExpr" if operand.expr.stages else "MatchersExpr"
                return self._fault(
                    mark,
                    f"unexpected type for {side} leg of binary operation "
                    f"({op.value}): *syntax.{kind}",
                )
            if op.is_set and isinstance(operand.expr, Literal):
                return self._fault(
                    mark,
                    f"unexpected literal for {side} leg of logical/set binary "
                    f"operation ({op.value}): {operand.expr.value:f}",
                )
        assert not isinstance(left.expr, LogQuery)
        assert not isinstance(right.expr, LogQuery)
        if isinstance(left.expr, Literal) and isinstance(right.expr, Literal):
            return _Operand(Literal(folded(op, left.expr.value, right.expr.value)))
        height = max(left.height, right.height) + 1
        if height > DEPTH_MAX:
            raise too_deep()
        operation = BinaryOperation(
            op, left.expr, right.expr, modifier.returns_bool, modifier.matching
        )
        return _Operand(operation, height)

    def _fault(self, mark: int, message: str) -> _Operand:
        """Record a fault, which hides those of its parts, recorded since `mark`."""
        self.faults[mark:] = [message]
        return _Operand(_STAND_IN)

    def _modifier(self) -> _Modifier:
        cursor = self._cursor
        returns_bool = cursor.take_if(Kind.BOOL)
        if cursor.kind not in {Kind.ON, Kind.IGNORING}:
            return _Modifier(returns_bool, None)
        on = cursor.take().kind is Kind.ON
        labels = parse_label_names(cursor)
        cardinality = _CARDINALITIES.get(cursor.kind)
        if cardinality is None:
            return _Modifier(returns_bool, VectorMatching(labels, on))
        cursor.take()
        has_labels = cursor.at(Kind.OPEN_PARENTHESIS)
        include = parse_label_names(cursor) if has_labels else ()
        return _Modifier(returns_bool, VectorMatching(labels, on, cardinality, include))

    def _primary(self) -> _Operand:
        cursor = self._cursor
        kind = cursor.kind
        if kind is Kind.OPEN_BRACE:
            matchers = parse_matchers(cursor)
            stages, _ = parse_pipeline(cursor)
            if not is_selective(matchers):
                self.faults.append(SELECTOR_TOO_WIDE)
            return _Operand(LogQuery(matchers, stages))
        if kind is Kind.OPEN_PARENTHESIS:
            cursor.take()
            operand = self._expr()
            self._close()
            return operand
        if kind in {Kind.NUMBER, Kind.ADD, Kind.SUB}:
            return _Operand(Literal(parse_number(cursor)))
        if kind in _RANGE_FUNCTIONS:
            return self._range_aggregation()
        if kind in _VECTOR_FUNCTIONS:
            return self._vector_aggregation()
        if kind is Kind.VECTOR:
            return self._vector()
        if kind is Kind.LABEL_REPLACE:
            return self._label_replace()
        raise cursor.unexpected()

    def _close(self) -> None:
        # After an expression any operator would do, too many to name.
        if not self._cursor.take_if(Kind.CLOSE_PARENTHESIS):
            raise self._cursor.unexpected()

    def _vector(self) -> _Operand:
        cursor = self._cursor
        cursor.take()
        cursor.expect(Kind.OPEN_PARENTHESIS)
        text = cursor.expect_text(Kind.NUMBER)
        cursor.expect(Kind.CLOSE_PARENTHESIS)
        return _Operand(Vector(number_of(text, what="vectorExpr")))

    def _range_aggregation(self) -> _Operand:
        function = _RANGE_FUNCTIONS[self._cursor.take().kind]
        mark = len(self.faults)
        aggregation, fault = parse_range_aggregation(self._cursor, function)
        if fault is not None:
            return self._fault(mark, fault)
        return _Operand(aggregation)

    def _vector_aggregation(self) -> _Operand:
        cursor = self._cursor
        function = _VECTOR_FUNCTIONS[cursor.take().kind]
        mark = len(self.faults)
        grouping = parse_grouping(cursor)
        is_grouped_first = grouping is not None
        if cursor.kind is not Kind.OPEN_PARENTHESIS:
            expected = () if is_grouped_first else (Kind.BY, Kind.WITHOUT)
            raise cursor.unexpected((Kind.OPEN_PARENTHESIS, *expected))
        cursor.take()
        first, parameter = None, None
        if cursor.at(Kind.NUMBER):
            text = cursor.expect_text(Kind.NUMBER)
            if cursor.take_if(Kind.COMMA):
                parameter = text
            else:
                first = _Operand(Literal(number_of(text)))
        operand = self._metric(self._expr(left=first))
        self._close()
        if not is_grouped_first:
            grouping = parse_grouping(cursor)
        k, fault = vector_parameter(function, parameter, grouping)
        fault = fault or sort_fault(function, grouping)
        if fault is not None:
            return self._fault(mark, fault)
        if not _has_selector(operand.expr) and not function.is_sort:
            self.faults.append(SELECTOR_TOO_WIDE)
        if grouping == _ONE_GROUP:
            grouping = None
        aggregation = VectorAggregation(function, _metric(operand), k, grouping)
        return _Operand(aggregation, self._taller(operand))

    def _label_replace(self) -> _Operand:
        cursor = self._cursor
        cursor.take()
        cursor.expect(Kind.OPEN_PARENTHESIS)
        mark = len(self.faults)
        operand = self._metric(self._expr())
        if cursor.kind is not Kind.COMMA:
            raise cursor.unexpected()
        texts = []
        for _ in range(4):
            cursor.expect(Kind.COMMA)
            texts.append(cursor.expect_text(Kind.STRING))
        cursor.expect(Kind.CLOSE_PARENTHESIS)
        target, replacement, source, pattern = texts
        try:
            compile_regexp(f"^(?:{pattern})$")
        except RegexpInvalid as error:
            return self._fault(mark, f"invalid regex in label_replace: {error}")
        if not _has_selector(operand.expr):
            self.faults.append(SELECTOR_TOO_WIDE)
        replaced = LabelReplace(_metric(operand), target, replacement, source, pattern)
        return _Operand(replaced, self._taller(operand))

    def _metric(self, operand: _Operand) -> _Operand:
        """Check that an argument is a metric; a log query lacks its operator."""
        if isinstance(operand.expr, LogQuery):
            raise self._cursor.unexpected()
        return operand

    def _taller(self, operand: _Operand) -> int:
        if operand.height >= DEPTH_MAX:
            raise too_deep()
        return operand.height + 1


def _metric(operand: _Operand) -> MetricExpr:
    assert not isinstance(operand.expr, LogQuery)
    return operand.expr


def _has_selector(expr: Expr) -> bool:
    if isinstance(expr, BinaryOperation):
        return _has_selector(expr.left) or _has_selector(expr.right)
    return not isinstance(expr, Literal | Vector)
