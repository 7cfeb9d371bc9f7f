"""The weight of regular expressions: what is dear is known before it is compiled."""

import pytest

from loki_py.errors import QueryInvalid
from loki_py.logql.parser import parse
from loki_py.logql.regexp_weight import WEIGHT_MAX, weight_of

USUAL = {
    "words": "|".join(f"pod-{number}" for number in range(2_000)),
    "date": r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z",
    "address": r"(\d{1,3}\.){3}\d{1,3}",
    "uuid": "(?:[0-9a-f]{4}:){7}[0-9a-f]{4}",
    "anything": ".*error.{0,200}timeout.*",
    "letters": r"^\p{Lu}\p{Ll}+\s+(\pL+)\s\p{^Greek}$",
}
DEAR = {
    "letters": r"\pL" * 150,
    "many letters": r"\pL{100}" * 2,
    "up to many letters": r"\p{L}{1,200}",
    "copies of letters": r"(a\pL){200}",
    "copies": "(" + "x" * 3_000 + "){1000}",
    "copies of copies": "(((" + "x" * 3_000 + "){10}){10}){10}",
    "characters": "." * 16_384,
    "length": "x" * (WEIGHT_MAX + 1),
}


@pytest.mark.parametrize("pattern", USUAL.values(), ids=USUAL)
def test_usual_patterns_are_far_below_the_bound(pattern):
    assert weight_of(pattern) < WEIGHT_MAX / 10


@pytest.mark.parametrize("pattern", DEAR.values(), ids=DEAR)
def test_dear_patterns_are_above_it(pattern):
    assert weight_of(pattern) > WEIGHT_MAX


@pytest.mark.parametrize(
    "query",
    [
        '{a="b"} |~ `%s`',
        '{a="b"} !~ `%s`',
        '{a="b"} |~ "x" or `%s`',
        '{a="b",c=~`%s`}',
        '{a="b"} | c!~`%s`',
        '{a="b"} | regexp `(?P<c>%s)`',
        '{a="b"} | drop c=~`%s`',
        'label_replace(rate({a="b"}[1m]), "c", "$1", "d", `%s`)',
    ],
)
def test_a_dear_pattern_is_refused_wherever_it_stands(query):
    with pytest.raises(QueryInvalid, match="expression too large"):
        parse(query % DEAR["letters"])


def test_patterns_of_a_query_weigh_together():
    """Many patterns, each of which would do, are refused."""
    one = "|~ `x{3}%s\\pL{9}`"

    parse('{a="b"}' + one % 0)
    with pytest.raises(QueryInvalid, match="expression too large: weight"):
        parse('{a="b"}' + "".join(one % number for number in range(20)))


def test_a_text_that_is_no_pattern_weighs_nothing():
    parse('{a="b"} |= `' + DEAR["letters"] + "`")
