"""The chunk table: the same chunks that a look at each index row would select."""

import polars as pl
from fakes.entry_batches import label_sets
from hypothesis import given, settings
from hypothesis import strategies as st

from loki_py.index import chunk_table
from loki_py.index.chunk_table import ChunkTable
from loki_py.index.files import PackEntry, decode_index_file, encode_index_file
from loki_py.model.chunk_refs import CHUNK_COLUMNS
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType, selects

A, B = LabelSet.of({"app": "a"}), LabelSet.of({"app": "b", "env": "prod"})
ALL_TIME = {"start_ns": -(2**63), "end_ns": 2**63 - 1}
APP_A = Matcher("app", MatchType.EQUAL, "a")

matchers = st.builds(
    Matcher,
    st.sampled_from(["app", "env", "none"]),
    st.sampled_from(MatchType),
    st.sampled_from(["", "a", "a|b", ".*", ".+", 'q"uo\\te\n', "ü"]),
)
chunk_rows = st.lists(
    st.tuples(label_sets.map(LabelSet.of), st.integers(0, 9), st.integers(0, 9)),
    max_size=8,
)


def pack_of(key, rows):
    """Return a pack of (labels, from, through) chunks, ten rows each."""
    count = len(rows)
    chunks = pl.DataFrame(
        {
            "fingerprint": [labels.fingerprint for labels, _, _ in rows],
            "labels": [labels.text for labels, _, _ in rows],
            "from": [low for _, low, _ in rows],
            "through": [high for _, _, high in rows],
            "entries": [10] * count,
            "bytes": [100] * count,
            "row_group_first": [0] * count,
            "row_groups": [1] * count,
            "row_first": [10 * i for i in range(count)],
            "rows": [10] * count,
        },
        schema=CHUNK_COLUMNS,
    )
    return PackEntry(key, 1000, 100, "ab" * 32, chunks)


def file_of(packs, replaces=()):
    data = encode_index_file(packs, tenant="t", writer="w", replaces=replaces)
    return decode_index_file(data)


def table_of(*files):
    table = ChunkTable()
    for number, file in enumerate(files):
        table.add(f"index/{number}", file)
    return table


def found(selection):
    return [
        (
            selection.packs[ref["pack"]].key,
            ref["row_first"],
            selection.streams[ref["stream"]],
            ref["from"],
            ref["through"],
        )
        for ref in selection.refs.iter_rows(named=True)
    ]


@settings(max_examples=60)
@given(st.lists(chunk_rows, max_size=4), st.lists(matchers, max_size=2),
       st.integers(0, 9), st.integers(0, 10))  # fmt: skip
def test_selection_equals_looking_at_each_chunk(files, asked, start_ns, end_ns):
    table = table_of(
        *(file_of([pack_of(f"pack-{i}", rows)]) for i, rows in enumerate(files))
    )
    expected = [
        (f"pack-{i}", 10 * row, labels, low, high)
        for i, rows in enumerate(files)
        for row, (labels, low, high) in enumerate(rows)
        if selects(asked, labels) and high >= start_ns and low < end_ns
    ]
    time = {"start_ns": start_ns, "end_ns": end_ns}
    streams = {labels for _, _, labels, _, _ in expected}

    selection = table.select(asked, **time)

    assert sorted(found(selection), key=str) == sorted(expected, key=str)
    assert set(selection.streams) == streams
    assert set(table.series(asked, **time)) == streams
    names = {name for labels in streams for name, _ in labels.pairs}
    assert table.label_names(asked, **time) == sorted(names)
    for name in ("app", "env", "none"):
        values = {labels.get(name) for labels in streams} - {""}
        assert table.label_values(name, asked, **time) == sorted(values)


def test_pack_of_a_ref_is_the_one_of_its_index_row():
    table = table_of(file_of([pack_of("p", [(A, 0, 1)])]))

    [pack] = table.select([], **ALL_TIME).packs

    assert (pack.key, pack.object_bytes, pack.footer_bytes) == ("p", 1000, 100)
    assert pack.sha256 == "ab" * 32


def test_packs_that_are_not_wanted_are_left_out_and_their_chunks_counted():
    """Chunks of another time or stream count as that, whatever pack they are of."""
    table = table_of(
        file_of([pack_of("p1", [(A, 0, 1), (B, 0, 1)]), pack_of("p2", [(A, 2, 3)])]),
        file_of([pack_of("p3", [(A, 0, 1), (A, 90, 99)])]),
    )
    time = {"start_ns": 0, "end_ns": 50}

    some = table.select([APP_A], skip={"p1", "p3", "unknown"}, **time)
    none = table.select([APP_A], skip={"p1", "p2", "p3"}, **time)

    assert found(some) == [("p2", 0, A, 2, 3)]
    assert (some.held, some.other_streams, some.outside_time) == (2, 1, 1)
    assert (found(none), list(none.streams), none.held) == ([], [], 3)


def test_refs_are_sorted_by_pack_and_row():
    table = table_of(
        file_of([pack_of("p1", [(B, 0, 1), (A, 0, 1)]), pack_of("p2", [(A, 2, 3)])])
    )

    refs = table.select([], **ALL_TIME).refs

    assert refs.select("pack", "row_first").rows() == [(0, 0), (0, 10), (1, 0)]


def test_replaced_file_is_ignored_whichever_came_first():
    old = file_of([pack_of("old", [(A, 0, 1)])])
    new = file_of([pack_of("new", [(A, 0, 1)])], replaces=["index/old"])
    for order in (("old", "new"), ("new", "old")):
        table = ChunkTable()
        for name in order:
            table.add(f"index/{name}", {"old": old, "new": new}[name])

        assert [ref[0] for ref in found(table.select([], **ALL_TIME))] == ["new"]
        assert table.keys == {"index/old", "index/new"}


def test_what_a_removed_file_replaced_stays_replaced():
    """Files go in any order after a merge of merges; chunks never come twice."""
    table = ChunkTable()
    table.add("a", file_of([pack_of("p", [(A, 0, 1)])]))
    table.add("b", file_of([pack_of("p", [(A, 0, 1)])], replaces=["a"]))
    table.add("c", file_of([pack_of("p", [(A, 0, 1)])], replaces=["b"]))
    table.remove("b")

    assert len(table.select([], **ALL_TIME).refs) == 1


def test_removed_file_is_forgotten_and_may_come_back():
    file = file_of([pack_of("p", [(A, 0, 1)])])
    table = table_of(file)
    table.remove("index/0")
    table.remove("never there")

    assert len(table.select([], **ALL_TIME).refs) == 0

    table.add("index/0", file)
    assert len(table.select([], **ALL_TIME).refs) == 1


def test_file_added_twice_counts_once():
    file = file_of([pack_of("p", [(A, 0, 1)])])
    table = table_of(file)
    table.add("index/0", file)

    assert len(table.select([], **ALL_TIME).refs) == 1


def test_pieces_are_joined_before_they_are_many(monkeypatch):
    monkeypatch.setattr(chunk_table, "PIECES_MAX", 4)
    files = [file_of([pack_of(f"p{i}", [(A, i, i), (B, i, i)])]) for i in range(20)]
    table = table_of(*files)

    assert len(table._pieces) <= 4
    assert len(table.select([APP_A], **ALL_TIME).refs) == 20
    table.remove("index/7")
    assert len(table.select([APP_A], **ALL_TIME).refs) == 19


def test_stream_of_many_files_is_one_label_set():
    files = [file_of([pack_of(f"p{i}", [(A, i, i)])]) for i in range(3)]
    table = table_of(*files)

    first, second = (table.select([], **ALL_TIME).streams for _ in range(2))

    assert len(first) == 1
    assert first[0] is second[0]
