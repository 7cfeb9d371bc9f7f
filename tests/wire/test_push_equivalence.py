"""A push means the same by JSON and by protobuf."""

import push_bodies
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.model.labels import LabelSet
from loki_py.wire.push import PushDecoder

DECODER = PushDecoder()

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,5}", fullmatch=True)
labels = st.dictionaries(names, text, max_size=3)
stamps = st.one_of(
    st.integers(0, 2**63 - 10**9),
    st.integers(10**18, 2 * 10**18),
    st.integers(0, 10**10).map(lambda seconds: min(seconds, 9 * 10**9) * 10**9),
)
metadata = st.dictionaries(text.filter(bool), text, max_size=4)
entries = st.lists(st.tuples(stamps, text, metadata), max_size=6)
pushes = st.lists(st.tuples(labels, entries), min_size=1, max_size=4)


def _decode(body, content_type):
    return DECODER.decode(
        body, content_type=content_type, decoded_bytes_max=1 << 20
    ).batch


@settings(max_examples=50, deadline=None)
@given(pushes)
def test_json_and_protobuf_decode_to_the_same_rows(push):
    by_text = [(LabelSet.of(pairs).text, rows) for pairs, rows in push]

    from_json = _decode(push_bodies.json_body(push), "application/json")
    from_proto = _decode(push_bodies.proto_body(by_text), "application/x-protobuf")

    expected = [
        (label_text, ns, line, pairs)
        for label_text, rows in by_text
        for ns, line, pairs in rows
    ]
    assert push_bodies.rows_of(from_json) == expected
    assert push_bodies.rows_of(from_proto) == expected


def test_a_hundred_and_twenty_metadata_names_are_all_kept():
    """Names beyond the columns go to the map."""
    wide = {f"name_{i}": str(i) for i in range(120)}
    push = [({"a": "b"}, [(1, "x", {"name_3": "y"}), (2, "z", wide)])]
    texts = [('{a="b"}', push[0][1])]

    from_json = _decode(push_bodies.json_body(push), "application/json")
    from_proto = _decode(push_bodies.proto_body(texts), "application/x-protobuf")

    rows = push_bodies.rows_of(from_json)
    assert rows == push_bodies.rows_of(from_proto)
    assert rows[1][3] == wide
    assert len(from_json.metadata) == 100
