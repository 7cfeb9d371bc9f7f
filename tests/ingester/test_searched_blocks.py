"""Blocks searched before rows are read: the same entries, less work."""

import types
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from fakes.entry_batches import rows_of

from loki_py.chunks.block_reader import BlockFile
from loki_py.chunks.block_writer import encode_block_file
from loki_py.chunks.blocks import BlockFileHeader
from loki_py.chunks.line_runs import sampled
from loki_py.errors import DataUnreadable
from loki_py.ingester.block_units import BlockGroup, units_of_file
from loki_py.ingester.blockstore import BlockStore, TenantPart
from loki_py.ingester.selection import Wanted
from loki_py.logql.stages.line_chunks import LiteralSearch
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.line_search import SAMPLED_RUNS
from loki_py.model.scan import Columns, ReadStats

STREAMS = tuple(
    sorted(
        (LabelSet.of({"app": f"a{i}"}) for i in range(4)), key=lambda s: s.fingerprint
    )
)
ROWS = 5000
"""Of each stream, so that a block of them is worth searching."""


def line_of(stream, row):
    if row == 4321:
        return f"{stream} needle of é"
    if row % 50 == 7:
        return ""
    return f"{stream} some line that is {row} as it comes"


def file_of_streams():
    lines = [line_of(s, r) for s in range(len(STREAMS)) for r in range(ROWS)]
    batch = EntryBatch(
        STREAMS,
        np.repeat(np.arange(len(STREAMS), dtype=np.uint32), ROWS),
        np.tile(np.arange(ROWS, dtype=np.int64), len(STREAMS)),
        pa.array(lines, pa.large_string()),
        {"row": pa.array([str(r % 9) for r in range(len(lines))], pa.large_string())},
    )
    header = BlockFileHeader("i-0", generation=1, segment_max=1)
    made = encode_block_file(header, [("t", batch)], block_bytes=150_000)
    return b"".join(map(bytes, made))


DATA = file_of_streams()


def local_of(tmp_path, data):
    file = BlockFile.open(pa.py_buffer(data))
    return types.SimpleNamespace(
        generation=1, file=file, path=tmp_path / "1.blocks", parts={}
    )


def units(
    tmp_path, *, data=DATA, local=None, streams=(0, 1, 2, 3), start_ns=0, end_ns=ROWS
):
    local = local or local_of(tmp_path, data)
    refs = np.arange(len(STREAMS), dtype=np.uint32)
    local_of_ref = np.full(len(STREAMS), -1, np.int32)
    local_of_ref[list(streams)] = np.arange(len(streams))
    wanted = Wanted(
        tuple(STREAMS[s] for s in streams),
        np.array(streams, np.uint32),
        local_of_ref,
        start_ns,
        end_ns,
    )
    part = TenantPart(refs, line_bytes=0)
    found = units_of_file(
        BlockStore(tmp_path), local, part, "t", wanted, with_lines=True
    )
    return found.units


def holding(batches, text):
    return [row for batch in batches for row in rows_of(batch) if text in row[2]]


@pytest.mark.parametrize("streams", [(0, 1, 2, 3), (0, 2), (3,)])
@pytest.mark.parametrize("times", [(0, ROWS), (4000, 4400), (0, 4322), (4322, ROWS)])
@pytest.mark.parametrize("in_place", [True, False])
def test_what_is_sought_is_found_as_without_search(tmp_path, streams, times, in_place):
    mine = units(tmp_path, streams=streams, start_ns=times[0], end_ns=times[1])
    columns = Columns(in_place=in_place, search=LiteralSearch(["needle"]))

    found = [unit.read(columns, ReadStats()) for unit in mine]

    whole = [unit.read(Columns(), ReadStats()) for unit in mine]
    assert holding(found, "needle") == holding(whole, "needle")
    if times == (0, ROWS):
        assert sum(map(len, found)) < sum(map(len, whole)) / 4


@pytest.mark.parametrize("streams", [(0, 1, 2, 3), (0, 2), (3,)])
@pytest.mark.parametrize("times", [(0, ROWS), (3_000, 3_900), (5_000, 6_000)])
@pytest.mark.parametrize("in_place", [True, False])
def test_of_what_is_in_most_runs_the_lines_are_chosen(
    tmp_path, streams, times, in_place
):
    mine = units(tmp_path, streams=streams, start_ns=times[0], end_ns=times[1])
    search = LiteralSearch(["some line", "is 3"], picks_lines=True)
    columns = Columns(in_place=in_place, search=search)
    stats, plain = ReadStats(), ReadStats()

    found = [unit.read(columns, stats) for unit in mine]

    whole = [unit.read(Columns(), plain) for unit in mine]
    if times == (0, ROWS):
        rows = [row for batch in found for row in rows_of(batch)]
        assert rows == holding(whole, "some line that is 3")
        assert search.is_dense
        assert search.picks_lines
    else:
        assert holding(found, "is 3") == holding(whole, "is 3")
    assert (stats.block_rows, stats.block_bytes) == (
        plain.block_rows,
        plain.block_bytes,
    )


def test_lines_are_not_chosen_where_most_would_be(tmp_path):
    """Some lines of the first block tell that, and no further one is tried."""
    (unit,) = units(tmp_path)
    stats = ReadStats()
    search = LiteralSearch(["some line"], picks_lines=True)

    batch = unit.read(Columns(search=search), stats)

    assert (search.is_dense, search.picks_lines) == (True, False)
    assert len(batch) == len(STREAMS) * ROWS
    assert stats.blocks_searched == 0


def test_a_sample_is_from_all_over_a_part_and_less_than_it(tmp_path):
    lines = [f"{row:040}" for row in range(200)]
    streams = tuple(LabelSet.of({"n": f"{n:02}"}) for n in range(30))
    batch = EntryBatch(
        streams,
        np.repeat(np.arange(30, dtype=np.uint32), 200),
        np.tile(np.arange(200, dtype=np.int64), 30),
        pa.array(lines * 30, pa.large_string()),
    )
    header = BlockFileHeader("i-0", generation=1, segment_max=1)
    made = encode_block_file(header, [("t", batch)], block_bytes=10**6)
    file = local_of(tmp_path, b"".join(map(bytes, made))).file
    (part,) = file.select("t", None, start_ns=0, end_ns=200)

    some = sampled(part)

    assert some.rows.tolist() == [200] * 8, "neighbours make up what is searched"
    assert {0, 29} < set(some.runs.stream.tolist())
    assert (some.rows_max, some.line_bytes) == (1_600, 1_600 * 40)
    runs = file.line_runs(some)
    assert sum(runs.length) == some.line_bytes
    assert len(runs.sample().first) <= SAMPLED_RUNS
    assert runs.by_line().length.tolist() == [40] * 1_600
    assert sampled(some) is some


def test_blocks_without_it_are_searched_and_not_read(tmp_path):
    (unit,) = units(tmp_path)
    stats, plain = ReadStats(), ReadStats()

    batch = unit.read(Columns(search=LiteralSearch(["needle of é"])), stats)

    unit.read(Columns(), plain)
    assert len(holding([batch], "needle")) == 4
    assert 0 < stats.blocks_without < stats.blocks_searched == len(unit.units)
    assert (stats.block_rows, stats.block_bytes) == (
        plain.block_rows,
        plain.block_bytes,
    )


@pytest.mark.parametrize("times", [(0, 2_500), (4_000, 4_400), (6_000, 6_001)])
def test_only_lines_in_time_are_searched(tmp_path, times):
    """What is counted as read is what reading without search counts."""
    found, plain = ReadStats(), ReadStats()
    for unit in units(tmp_path, start_ns=times[0], end_ns=times[1]):
        unit.read(Columns(search=LiteralSearch(["needle"])), found)
        unit.read(Columns(), plain)

    assert (found.block_rows, found.block_bytes) == (
        plain.block_rows,
        plain.block_bytes,
    )


def test_blocks_without_a_row_in_time_are_nothing(tmp_path):
    """Runs say when streams have entries, not that they have some in between."""
    cut = [
        replace(
            unit, part=replace(unit.part, start_ns=9_000, end_ns=9_001, is_cut=True)
        )
        for unit in units(tmp_path)[0].units
    ]

    batch = BlockGroup(cut).read(Columns(search=LiteralSearch(["x"])), ReadStats())

    assert len(batch) == 0


def test_nothing_is_a_batch_without_rows(tmp_path):
    (unit,) = units(tmp_path)
    stats = ReadStats()

    batch = unit.read(Columns(search=LiteralSearch(["not there"])), stats)

    assert len(batch) == len(batch.line) == 0
    assert batch.streams is unit.streams
    assert stats.blocks_without == stats.blocks_searched


def test_what_is_everywhere_is_not_sought_again(tmp_path):
    (unit,) = units(tmp_path)
    stats = ReadStats()
    search = LiteralSearch(["some line"])

    batch = unit.read(Columns(search=search), stats)

    assert search.is_dense
    assert len(batch) == len(STREAMS) * ROWS
    assert stats.blocks_searched == 0


def test_all_of_several_texts_are_sought(tmp_path):
    (unit,) = units(tmp_path)

    batch = unit.read(
        Columns(search=LiteralSearch(["needle", "1 needle"])), ReadStats()
    )

    assert "1 needle of é" in {row[2] for row in holding([batch], "needle")}
    assert len(holding([batch], "needle")) < len(STREAMS)


def test_damage_is_noticed_where_lines_are_only_searched(tmp_path):
    at = DATA.index(b"2 some line that is 77 ")
    damaged = bytearray(DATA)
    damaged[at] ^= 1
    (unit,) = units(tmp_path, data=bytes(damaged))

    with pytest.raises(DataUnreadable, match=r"block \d+ of 1\.blocks is damaged"):
        unit.read(Columns(search=LiteralSearch(["needle"])), ReadStats())
