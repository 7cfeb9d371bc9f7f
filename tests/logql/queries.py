"""Random syntax trees, for tests of printing and parsing."""

from itertools import pairwise

from hypothesis import strategies as st

from loki_py.logql import ast
from loki_py.logql import ast_metric as metric
from loki_py.logql.rules import range_fault
from loki_py.model.matchers import Matcher, MatchType

NAMES = st.sampled_from(["app", "env", "sum", "rate_", "x9", "_y", "duration"])
TEXTS = st.text(alphabet='ab"\\\n\t`{}é日', max_size=6)
NUMBERS = st.one_of(
    st.integers(0, 10**9).map(float),
    st.floats(0, 1e9, allow_nan=False).map(abs),
)
SECONDS = st.integers(1, 10**7)
REGEXPS = st.sampled_from([".*", "a|b", "(?i)x+", "[a-z]{2}", "\\d"])
PATTERNS = st.sampled_from(["<_>", "a<_>b", "<_> x", "plain", ""])


def matchers_of(name):
    texts = st.builds(
        Matcher,
        st.just(name),
        st.sampled_from([MatchType.EQUAL, MatchType.NOT_EQUAL]),
        TEXTS,
    )
    regexps = st.builds(
        Matcher,
        st.just(name),
        st.sampled_from([MatchType.REGEXP, MatchType.NOT_REGEXP]),
        REGEXPS,
    )
    return texts | regexps


MATCHERS = NAMES.flatmap(matchers_of)
SELECTORS = st.lists(MATCHERS, max_size=2).map(
    lambda more: (Matcher("job", MatchType.EQUAL, "j"), *more)
)
OPS = st.sampled_from(ast.CompareOp)


def line_filters():
    positive = [ast.LineFilterOp.CONTAINS, ast.LineFilterOp.NOT_CONTAINS]
    texts = st.builds(ast.LineTerm, TEXTS)
    addresses = st.just(ast.LineTerm("10.0.0.0/8", is_ip=True))
    kinds = [
        (st.sampled_from(positive), texts | addresses),
        (
            st.sampled_from([ast.LineFilterOp.REGEXP, ast.LineFilterOp.NOT_REGEXP]),
            st.builds(ast.LineTerm, REGEXPS),
        ),
        (
            st.sampled_from([ast.LineFilterOp.PATTERN, ast.LineFilterOp.NOT_PATTERN]),
            st.builds(ast.LineTerm, PATTERNS),
        ),
    ]
    return st.one_of(
        st.builds(ast.LineFilter, op, st.lists(term, min_size=1, max_size=3).map(tuple))
        for op, term in kinds
    )


LABEL_FILTERS = st.recursive(
    st.one_of(
        st.builds(ast.StringFilter, MATCHERS),
        st.builds(ast.NumberFilter, NAMES, OPS, NUMBERS),
        st.builds(ast.DurationFilter, NAMES, OPS, SECONDS.map(lambda s: s * 10**6)),
        st.builds(ast.BytesFilter, NAMES, OPS, st.integers(0, 999)),
        st.builds(ast.IpFilter, NAMES, st.just("::1"), st.booleans()),
    ),
    lambda inner: (
        st.builds(ast.AndFilter, inner, inner) | st.builds(ast.OrFilter, inner, inner)
    ),
    max_leaves=4,
)


def some(items):
    return st.lists(items, max_size=2).map(tuple)


def targets():
    conditional = MATCHERS.map(lambda m: ast.LabelTarget(m.name, m))
    return st.lists(
        st.builds(ast.LabelTarget, NAMES) | conditional, min_size=1, max_size=2
    ).map(tuple)


def assignments():
    renames = st.builds(ast.LabelRename, NAMES, NAMES)
    templates = st.builds(ast.LabelTemplate, NAMES, st.just("{{.x}}"))
    return st.lists(
        renames | templates, min_size=1, max_size=3, unique_by=lambda a: a.target
    ).map(tuple)


STAGES = st.one_of(
    line_filters(),
    st.builds(
        ast.JsonParser,
        some(st.builds(ast.JsonExtraction, NAMES, st.just('a["b c"][0]'))),
    ),
    st.builds(
        ast.LogfmtParser,
        some(st.builds(ast.LogfmtExtraction, NAMES, NAMES)),
        st.booleans(),
        st.booleans(),
    ),
    st.just(ast.RegexpParser("(?P<a>x)")),
    st.just(ast.PatternParser("<a> x")),
    st.just(ast.UnpackParser()),
    st.just(ast.Decolorize()),
    st.builds(ast.LabelFilterStage, LABEL_FILTERS),
    st.builds(
        ast.LineFormat, st.sampled_from(['{{.a}} "x"', "", "{{ if .b }}c{{end}}"])
    ),
    st.builds(ast.LabelFormat, assignments()),
    st.builds(ast.Drop, targets()),
    st.builds(ast.Keep, targets()),
)
AMBIGUOUS = {ast.LineFilterOp.NOT_CONTAINS, ast.LineFilterOp.NOT_REGEXP}


def can_be_written(stages):
    """Whether no `!=` or `!~` filter follows a bare name of drop or keep.

    Such a filter reads as the name's condition; no text stands for this tree.
    """
    return not any(
        isinstance(left, ast.Drop | ast.Keep)
        and left.targets[-1].matcher is None
        and isinstance(right, ast.LineFilter)
        and right.op in AMBIGUOUS
        for left, right in pairwise(stages)
    )


LOG_QUERIES = st.builds(
    ast.LogQuery,
    SELECTORS,
    st.lists(STAGES, max_size=4).filter(can_be_written).map(tuple),
)
GROUPINGS = st.builds(metric.Grouping, some(NAMES), st.booleans())
UNWRAPS = st.builds(
    metric.Unwrap,
    NAMES,
    st.none() | st.sampled_from(metric.UnwrapConversion),
    some(LABEL_FILTERS),
)
RANGES = st.builds(
    metric.LogRange,
    LOG_QUERIES,
    SECONDS.map(lambda s: s * 10**9),
    st.none() | UNWRAPS,
    st.integers(-(10**12), 10**12),
)


@st.composite
def range_aggregations(draw):
    function = draw(st.sampled_from(metric.RangeFunction))
    log_range = draw(RANGES)
    grouping = draw(st.none() | GROUPINGS)
    is_quantile = function is metric.RangeFunction.QUANTILE_OVER_TIME
    parameter = draw(NUMBERS) if is_quantile else None
    if range_fault(function, log_range, grouping) is not None:
        function, grouping = metric.RangeFunction.RATE, None
        return metric.RangeAggregation(function, log_range)
    return metric.RangeAggregation(function, log_range, parameter, grouping)


@st.composite
def vector_aggregations(draw, inner):
    function = draw(st.sampled_from(metric.VectorFunction))
    grouping = draw(st.none() | GROUPINGS)
    if grouping == metric.Grouping(()) or function.is_sort:
        grouping = None
    k = None
    if "topk" in function.value or "bottomk" in function.value:
        k = draw(st.integers(1, 99))
        grouping = None if function.value == "approx_topk" else grouping
    return metric.VectorAggregation(function, draw(inner), k, grouping)


MATCHINGS = st.builds(metric.VectorMatching, some(NAMES), st.booleans()) | st.builds(
    metric.VectorMatching,
    some(NAMES),
    st.booleans(),
    st.sampled_from(
        [metric.MatchCardinality.GROUP_LEFT, metric.MatchCardinality.GROUP_RIGHT]
    ),
    some(NAMES),
)


@st.composite
def binary_operations(draw, inner):
    op = draw(st.sampled_from(metric.BinaryOp))
    left, right = draw(inner), draw(inner)
    if not op.is_set and draw(st.booleans()):
        left = draw(st.builds(metric.Literal, NUMBERS | NUMBERS.map(lambda n: -n)))
    if not op.is_set and not isinstance(left, metric.Literal) and draw(st.booleans()):
        right = draw(st.builds(metric.Vector, st.integers(0, 99).map(float)))
    returns_bool = op.is_comparison and draw(st.booleans())
    return metric.BinaryOperation(
        op, left, right, returns_bool, draw(st.none() | MATCHINGS)
    )


METRIC_QUERIES = st.recursive(
    range_aggregations(),
    lambda inner: st.one_of(
        vector_aggregations(inner),
        binary_operations(inner),
        st.builds(metric.LabelReplace, inner, NAMES, TEXTS, NAMES, st.just("(.*)")),
    ),
    max_leaves=4,
)
