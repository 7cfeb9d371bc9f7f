"""Canonical label texts: what a label set prints is read back as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_py.errors import CorruptData
from loki_py.model.canonical import labels_of_canonical
from loki_py.model.labels import LabelSet


@given(
    st.dictionaries(
        st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        max_size=4,
    ).map(LabelSet.of)
)
def test_printed_labels_are_read_back(labels):
    assert labels_of_canonical(labels.text) == labels


@pytest.mark.parametrize(
    "text",
    ["", "{", 'app="a"', '{app="a}', '{app="a",b="c"}', "{app=a}", '{"a"="b"}',
     '{app="\\q"}', '{b="1", a="2" }'],
)  # fmt: skip
def test_text_that_no_label_set_prints_is_refused(text):
    with pytest.raises(CorruptData):
        labels_of_canonical(text)
