"""The label index: the same streams that a look at each one would select."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_py.index.postings import LabelIndex
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType, selects

label_sets = st.dictionaries(
    st.sampled_from(["app", "env", "pod"]), st.sampled_from(["a", "ab", "b\n", "ü"])
).map(LabelSet.of)
matchers = st.builds(
    Matcher,
    st.sampled_from(["app", "env", "none"]),
    st.sampled_from(MatchType),
    st.sampled_from(["", "a", "a|ab", ".*", ".+", "a.?", "(?i)A", "b.", "|a"]),
)


def index_of(*labels):
    index = LabelIndex()
    for ref, pairs in enumerate(labels):
        index.add(ref, LabelSet.of(pairs))
    return index


@given(st.lists(label_sets, max_size=12), st.lists(matchers, max_size=3), st.data())
def test_selection_equals_looking_at_each_stream(streams, asked, data):
    """Also after streams went and others took their refs."""
    index, held = LabelIndex(), {}
    for ref, labels in enumerate(streams):
        index.add(ref, labels)
        held[ref] = labels
    index.select(asked)
    for ref in data.draw(st.lists(st.sampled_from(sorted(held)), unique=True))\
            if held else ():  # fmt: skip
        index.remove(ref)
        held[ref] = data.draw(label_sets)
        index.add(ref, held[ref])
    for ref in data.draw(st.lists(st.sampled_from(sorted(held)), unique=True))\
            if held else ():  # fmt: skip
        index.remove(ref)
        del held[ref]

    selected = index.select(asked)

    expected = [ref for ref in sorted(held) if selects(asked, held[ref])]
    assert selected.tolist() == expected
    names = {name for labels in held.values() for name, _ in labels.pairs}
    assert index.names() == sorted(names)
    for name in names:
        values = {labels.get(name) for labels in held.values()} - {""}
        assert index.values(name) == sorted(values)
        chosen = {held[ref].get(name) for ref in expected} - {""}
        assert index.values(name, selected) == sorted(chosen)
    chosen_names = {name for ref in expected for name, _ in held[ref].pairs}
    assert index.names(selected) == sorted(chosen_names)


@pytest.mark.parametrize(
    ("pattern", "count"), [("pod-1.", 10), ("pod-(?:7|8)", 2), ("pod-7|pod-8", 2)]
)
def test_pattern_over_many_values_is_anchored(pattern, count):
    """A column of values is matched like a single one."""
    index = index_of(*({"pod": f"pod-{i}"} for i in range(100)))

    assert len(index.select([Matcher("pod", MatchType.REGEXP, pattern)])) == count
    refused = index.select([Matcher("pod", MatchType.NOT_REGEXP, pattern)])
    assert len(refused) == 100 - count


def test_missing_label_matches_like_an_empty_value():
    index = index_of({"app": "a"}, {"app": "b", "env": "prod"})

    assert index.select([Matcher("env", MatchType.EQUAL, "")]).tolist() == [0]
    assert index.select([Matcher("env", MatchType.NOT_EQUAL, "prod")]).tolist() == [0]
    assert index.select([Matcher("env", MatchType.REGEXP, "prod|")]).tolist() == [0, 1]


def test_removed_ref_is_unknown():
    index = index_of({"app": "a"})
    index.remove(0)

    with pytest.raises(KeyError):
        index.remove(0)
    assert len(index) == 0


def test_values_that_come_and_go_leave_nothing_behind():
    """A label whose value changes all the time does not grow the index."""
    index = LabelIndex()
    for generation in range(1_000):
        index.add(0, LabelSet.of({"pod": f"pod-{generation}"}))
        if generation % 2:
            index.select([Matcher("pod", MatchType.EQUAL, "x")])
        index.remove(0)
    index.add(0, LabelSet.of({"pod": "kept", "app": "a"}))
    index.add(1, LabelSet.of({"pod": "last", "app": "a"}))
    for generation in range(1_000):
        index.remove(1)
        index.add(1, LabelSet.of({"pod": f"pod-{generation}"}))

    assert len(index._columns["pod"]._values) <= 3
    assert index.values("pod") == ["kept", "pod-999"]
