"""Label texts: the grammar and Prometheus' errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_py.errors import RequestRejected
from loki_py.model.labels import LabelSet
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.label_text import parse_labels

names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True)
values = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)


@given(st.dictionaries(names, values, max_size=4))
def test_a_printed_label_set_parses_to_itself(labels):
    label_set = LabelSet.of(labels)

    assert parse_labels(label_set.text) == label_set


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("{}", "{}"),
        ('{b="2",a="1"}', '{a="1", b="2"}'),
        ('{ a = "1" , }', '{a="1"}'),
        ("{a='x\\'y'}", '{a="x\'y"}'),
        ("{a=`x\\n`}", '{a="x\\\\n"}'),
        (r'{a="\x41\101\u00e9\U0001F680\t"}', '{a="AAé🚀\\t"}'),
        (r'{a="\xc3\xa9\\x41"}', '{a="é\\\\x41"}'),
        ('{a="",b="1"}', '{b="1"}'),
    ],
)
def test_texts_that_are_labels(text, printed):
    assert parse_labels(text).text == printed


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "1:1: parse error: unexpected end of input"),
        ('{a-b="c"}', "1:3: parse error: unexpected character inside braces: '-'"),
        ('{a="b"', "1:7: parse error: unexpected end of input inside braces"),
        ("{a}", '1:3: parse error: unexpected "}" in label set, expected "="'),
        ('{a!="b"}', '1:3: parse error: unexpected <op:!=> in label set, expected "="'),
        (
            "{a=b}",
            '1:4: parse error: unexpected identifier "b" in label set, expected string',
        ),
        ('{a="b', "1:4: parse error: unterminated quoted string"),
        ("{a=`b", "1:4: parse error: unterminated raw string"),
        ('{a="b"} x', '1:9: parse error: unexpected identifier "x"'),
        ('{é="b"}', "1:2: parse error: unexpected character inside braces: 'é'"),
        ('{a="b",\nc-d="e"}', "2:2: parse error: unexpected character inside braces"),
        (r'{a="\z"}', "1:4: parse error: unknown escape sequence U+007A 'z'"),
    ],
)
def test_texts_that_are_none_are_told_where(text, reason):
    with pytest.raises(RequestRejected) as caught:
        parse_labels(text)

    assert str(caught.value).startswith("couldn't parse labels: " + reason)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        '{a="' + "\\" * 100_001,
        "{" + 'a="b",' * 20_000,
        '{a="' + "x" * 10**6,
    ],
    ids=["braces", "backslashes", "pairs", "unterminated"],
)
def test_a_hostile_text_is_refused_in_linear_time(text):
    with pytest.raises(RequestRejected):
        parse_labels(text)


def test_the_cache_keeps_what_is_used_and_stays_small():
    cache = LabelCache(keys_max=2)
    often = LabelSet.of({"a": "b"})
    cache.put(b"often", often)

    for index in range(10):
        cache.put(b"%d" % index, LabelSet.of({"n": str(index)}))
        assert cache.find(b"often") is often

    assert cache.find(b"0") is None
    assert cache.find(b"9") is not None
