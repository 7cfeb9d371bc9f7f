"""What `inspect` tells of packs and block files is what they hold."""

import pyarrow as pa
from fakes.entry_batches import batch_of
from test_block_files import SMALL as BLOCKS
from test_block_files import encoded
from test_packs import SMALL as PACK

from loki_py.chunks.inspect import NOT_CHECKED, OK, block_file_rows, pack_rows


def tables_of(rows):
    """Return the rows by table, tables named by their first key."""
    tables = {}
    for row in rows:
        tables.setdefault(next(iter(row)), []).append(row)
    return tables


def test_pack_tells_row_groups_and_chunks():
    tables = tables_of(pack_rows(pa.py_buffer(PACK)))

    [head] = tables["tenant"]
    assert (head["tenant"], head["writer"], head["rows"]) == ("t", "ingester-0", 16)
    assert head["metadata"] == "trace"
    assert sum(group["rows"] for group in tables["row_group"]) == 16
    assert {group["state"] for group in tables["row_group"]} == {OK}
    assert sorted(c["labels"] for c in tables["fingerprint"]) == [
        '{app="a"}',
        '{app="b"}',
    ]


def test_damaged_row_group_is_told():
    changed = bytearray(PACK)
    changed[100] ^= 1

    groups = tables_of(pack_rows(pa.py_buffer(bytes(changed))))["row_group"]
    unchecked = pack_rows(pa.py_buffer(bytes(changed)), check=False)

    assert [group["state"] == OK for group in groups].count(False) == 1
    states = {group["state"] for group in tables_of(unchecked)["row_group"]}
    assert states == {NOT_CHECKED}


def test_block_file_tells_tenants_blocks_and_streams():
    rows = list(block_file_rows(pa.py_buffer(BLOCKS)))
    tables = tables_of(rows)

    assert rows[0]["generation"] == 7
    assert [row["tenant"] for row in rows if "blocks" in row] == ["t1", "t2"]
    assert {block["state"] for block in tables["block"]} == {OK}
    assert sum(block["rows"] for block in tables["block"]) == 14
    streams = [row for row in rows if "labels" in row and row["tenant"] == "t1"]
    assert [(row["min_ns"], row["max_ns"]) for row in streams] == [(0, 5), (0, 5)]


def test_block_without_metadata_is_whole():
    data = encoded([("t", batch_of([({"app": "a"}, 1, "x")]))])

    [block] = tables_of(block_file_rows(pa.py_buffer(data)))["block"]

    assert (block["state"], block["metadata_offset"]) == (OK, 0)


def test_damaged_block_is_told():
    block = tables_of(block_file_rows(pa.py_buffer(BLOCKS)))["block"][2]
    changed = bytearray(BLOCKS)
    changed[block["lines_offset"] + 40] ^= 1

    blocks = tables_of(block_file_rows(pa.py_buffer(bytes(changed))))["block"]

    assert [row["block"] for row in blocks if row["state"] != OK] == [2]
