"""The ingester as its callers see it: durable, readable, flushed, restarted."""

import asyncio
import contextlib
import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.config.schema import Config
from loki_py.errors import DataUnreadable, DurabilityFailed, NotReady
from loki_py.index.files import decode_index_file
from loki_py.ingester.metrics import IngesterMetrics
from loki_py.ingester.service import Ingester, IngesterSettings
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import Columns, ReadStats, Scan, Skipped
from loki_py.runtime.clock import ManualClock
from loki_py.storage.memory import MemoryStore
from loki_py.wal.segment_file import Disk

SECOND = 10**9
A, B = LabelSet.of({"app": "a"}), LabelSet.of({"app": "b"})
ALL = Scan((Matcher("app", MatchType.REGEXP, ".+"),), 0, 2**62)


class Cell:
    """One ingester's folders, store and clock, over several starts of it."""

    def __init__(self, folder, **changes):
        self.folder = folder
        self.store = MemoryStore()
        self.clock = ManualClock()
        self.config = dataclasses_like(Config().ingester, **changes)
        self.disk = None
        self.flushed = []

    @contextlib.asynccontextmanager
    async def ingester(self, *, stop=True):
        made = Ingester(
            IngesterSettings(
                "ingester-0",
                self.config,
                self.folder / "wal",
                self.folder / "blocks",
                self.folder / "flush",
            ),
            store=self.store,
            overrides=StaticOverrides(Limits()),
            clock=self.clock,
            metrics=IngesterMetrics(CollectorRegistry()),
            disk=self.disk,
        )
        made.on_flushed(lambda *told: self.flushed.append(told))
        await made.start()
        try:
            yield made
        finally:
            if stop:
                await made.stop()

    def batch(self, *rows, streams=(A, B), **metadata):
        """Rows are (stream position, seconds from the clock's start, line)."""
        stream, seconds, lines = zip(*rows, strict=True)
        return EntryBatch(
            streams,
            np.array(stream, np.uint32),
            np.array([self.clock.time_ns + s * SECOND for s in seconds], np.int64),
            pa.array(lines, pa.large_string()),
            {n: pa.array(v, pa.large_string()) for n, v in metadata.items()},
        )


def dataclasses_like(section, **changes):
    return section.model_copy(update=changes)


async def rows_of(ingester, scan=ALL, tenant="t"):
    """All entries that the ingester answers with, as sorted tuples."""
    stats = ReadStats()
    rows = []
    selection = await ingester.select(tenant, scan)
    for unit in selection.units:
        batch = await asyncio.to_thread(unit.read, scan.columns, stats)
        rows += [
            (batch.streams[s].text, t, line)
            for s, t, line in zip(
                batch.stream.tolist(),
                batch.timestamp_ns.tolist(),
                batch.line.to_pylist(),
                strict=True,
            )
        ]
    return sorted(rows)


def expected(cell, *rows):
    return sorted(
        ((A, B)[s].text, cell.clock.time_ns + t * SECOND, line) for s, t, line in rows
    )


THREE = ((0, 1, "one"), (1, 1, "two"), (0, 2, "three"))


async def test_pushed_entries_are_read_back(tmp_path):
    """What a push stored is what a scan returns, by stream and time."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        answer = await ingester.push("t", cell.batch(*THREE))

        assert answer.rejected == {}
        assert await rows_of(ingester) == expected(cell, *THREE)
        only_a = dataclasses.replace(
            ALL, matchers=(Matcher("app", MatchType.EQUAL, "a"),)
        )
        assert await rows_of(ingester, only_a) == expected(cell, THREE[0], THREE[2])
        late = dataclasses.replace(ALL, start_ns=cell.clock.time_ns + 2 * SECOND)
        assert await rows_of(ingester, late) == expected(cell, THREE[2])


@pytest.mark.parametrize("is_cut", [False, True], ids=["head", "block"])
async def test_chunks_that_a_scan_passes_over_are_counted(tmp_path, is_cut):
    """What is of another time counts as that, whatever its stream."""
    cell = Cell(tmp_path)
    only_a = dataclasses.replace(ALL, matchers=(Matcher("app", MatchType.EQUAL, "a"),))
    late = dataclasses.replace(ALL, start_ns=cell.clock.time_ns + 2 * SECOND)
    none = dataclasses.replace(only_a, start_ns=cell.clock.time_ns + 9 * SECOND)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        if not is_cut:
            await check_skipped(ingester, only_a, late, none)
    if is_cut:
        async with cell.ingester() as ingester:
            await check_skipped(ingester, only_a, late, none)


async def check_skipped(ingester, only_a, late, none):
    assert (await ingester.select("t", ALL)).skipped == Skipped()
    assert (await ingester.select("t", only_a)).skipped == Skipped(other_streams=1)
    assert (await ingester.select("t", late)).skipped == Skipped(outside_time=1)
    assert (await ingester.select("t", none)).skipped == Skipped(outside_time=2)


async def test_tenants_never_see_each_other(tmp_path):
    """The same labels in two tenants are two streams."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch((0, 1, "mine")))
        await ingester.push("other", cell.batch((0, 1, "theirs")))

        assert await rows_of(ingester) == expected(cell, (0, 1, "mine"))
        assert await rows_of(ingester, tenant="nobody") == []


async def test_stop_cuts_heads_so_that_nothing_is_replayed(tmp_path):
    """After a graceful stop the WAL is empty and block files hold everything."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))

    assert list((tmp_path / "wal").glob("*.wal")) == []
    assert len(list((tmp_path / "blocks").glob("*.blocks"))) == 1
    async with cell.ingester() as ingester:
        assert await rows_of(ingester) == expected(cell, *THREE)


async def test_wal_brings_back_what_a_crash_left(tmp_path):
    """Entries that were only in heads are there after a start without a stop."""
    cell = Cell(tmp_path)
    async with cell.ingester(stop=False) as ingester:
        await ingester.push("t", cell.batch(*THREE, trace=["x", None, "z"]))
    async with cell.ingester() as ingester:
        assert await rows_of(ingester) == expected(cell, *THREE)
        selection = await ingester.select("t", ALL)
        batch = selection.units[0].read(Columns(), ReadStats())
        assert sorted(batch.metadata["trace"].to_pylist(), key=str) == [None, "x", "z"]


async def test_replay_with_small_heads_cuts_on_the_way(tmp_path):
    """A WAL larger than the heads may be is replayed through block files."""
    cell = Cell(tmp_path)
    rows = [(0, i, f"line {i}" * 10) for i in range(200)]
    async with cell.ingester(stop=False) as ingester:
        for row in rows:
            await ingester.push("t", cell.batch(row))

    cell.config = dataclasses_like(cell.config, head_bytes_max=1000)
    async with cell.ingester() as ingester:
        assert len(list((tmp_path / "blocks").glob("*.blocks"))) > 2
        assert await rows_of(ingester) == expected(cell, *rows)


async def test_generations_are_cut_by_size_and_wal_segments_go(tmp_path):
    """Heads over the bound move to a block file, and their segments are deleted."""
    cell = Cell(tmp_path, head_bytes_max=2000)
    rows = [(i % 2, i, f"line {i}" * 10) for i in range(100)]
    async with cell.ingester() as ingester:
        for row in rows:
            await ingester.push("t", cell.batch(row))

        assert await rows_of(ingester) == expected(cell, *rows)
        while len(list((tmp_path / "wal").glob("*.wal"))) > 1:  # noqa: ASYNC110 - the disk tells nobody
            await asyncio.sleep(0.01)


async def test_duplicates_are_stored_once(tmp_path):
    """The same entry twice is one entry, in one push or in two, cut or not."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch((0, 1, "x"), (0, 1, "x"), (0, 1, "y")))
        await ingester.push("t", cell.batch((0, 1, "x")))

        assert await rows_of(ingester) == expected(cell, (0, 1, "x"), (0, 1, "y"))
    async with cell.ingester() as ingester:
        assert await rows_of(ingester) == expected(cell, (0, 1, "x"), (0, 1, "y"))


async def test_flush_writes_a_pack_and_an_index_that_names_it(tmp_path):
    """After a flush the store holds both, listeners know, and reading goes on."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        await ingester.flush()

        packs = list(cell.store.list("t/packs/"))
        (index,) = cell.store.list("t/index/")
        assert [(t, key) for t, key, _ in cell.flushed] == [("t", index)]
        chunks = decode_index_file(cell.store.get(index)).chunks
        assert chunks["entries"].sum() == 3
        assert (await ingester.select("t", ALL)).packs_covered == set(packs)
        assert await rows_of(ingester) == expected(cell, *THREE)


async def test_flushed_files_stay_hot_over_a_restart(tmp_path):
    """A start finds flushed block files again and does not flush them twice."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        await ingester.flush()
    async with cell.ingester() as ingester:
        await ingester.flush()

        assert await rows_of(ingester) == expected(cell, *THREE)
        assert len(list(cell.store.list("t/packs/"))) == 1


async def test_no_hot_tier_leaves_nothing_on_local_disk(tmp_path):
    """With a hot tier of 0 bytes flushed files and their records go at once."""
    cell = Cell(tmp_path, hot_tier_bytes_max=0)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        await ingester.flush()

        assert list((tmp_path / "blocks").iterdir()) == []
        selection = await ingester.select("t", ALL)
        assert (list(selection.units), selection.packs_covered) == ([], frozenset())


async def test_half_dropped_flush_is_not_used_after_a_restart(tmp_path):
    """If one file of a flush is gone, the others are not read: the pack is."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch((0, 1, "first")))
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch((0, 2, "second")))
        await ingester.flush()
    next((tmp_path / "blocks").glob("*.blocks")).unlink()

    async with cell.ingester() as ingester:
        selection = await ingester.select("t", ALL)
        assert (list(selection.units), selection.packs_covered) == ([], frozenset())
        assert list((tmp_path / "blocks").iterdir()) == []


async def test_failed_fsync_is_never_acknowledged(tmp_path):
    """A push whose fsync fails raises, and the next one works again."""
    cell = Cell(tmp_path)
    failing = [True]

    def sync(_descriptor):
        if failing[0]:
            raise OSError(5, "Input/output error")

    cell.disk = Disk(sync=sync)
    async with cell.ingester() as ingester:
        with pytest.raises(DurabilityFailed):
            await ingester.push("t", cell.batch((0, 1, "lost?")))
        failing[0] = False
        while True:
            try:
                await ingester.push("t", cell.batch((0, 2, "kept")))
                break
            except DurabilityFailed:
                await asyncio.sleep(0.01)

        assert expected(cell, (0, 2, "kept"))[0] in await rows_of(ingester)


async def test_push_after_stop_is_refused(tmp_path):
    """A stopping ingester takes nothing that it could lose."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        pass

    with pytest.raises(NotReady):
        await ingester.push("t", cell.batch((0, 1, "late")))


class SlowStore(MemoryStore):
    """An object store to which every object takes a while."""

    def __init__(self, clock):
        super().__init__()
        self._clock = clock

    def put(self, key, data):
        super().put(key, data)
        self._clock.advance(20 * SECOND)


async def test_files_stay_from_the_end_of_their_flush(tmp_path):
    """However long it took: others have had the time to see what it wrote."""
    cell = Cell(tmp_path, hot_tier_bytes_max=0, chunk_retain_ns=35 * SECOND)
    cell.store = SlowStore(cell.clock)
    rows = expected(cell, *THREE)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        await ingester.flush()
        cell.clock.advance(34 * SECOND)
        await ingester._flushes.flush_due()
        assert await rows_of(ingester) == rows
        cell.clock.advance(SECOND)
        await ingester._flushes.flush_due()

        assert await rows_of(ingester) == []


async def test_large_stream_is_flushed_in_slices_of_time(tmp_path, monkeypatch):
    """A stream larger than a slice is sorted piece by piece into one order."""
    monkeypatch.setattr(
        "loki_py.ingester.slices.slices_of.__kwdefaults__", {"slice_bytes": 500}
    )
    cell = Cell(tmp_path)
    rows = [(0, (i * 37) % 100, f"line {i:03d} " * 5) for i in range(100)]
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*rows))
        await ingester.flush()

        (pack,) = cell.store.list("t/packs/")
    import io

    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(cell.store.get(pack)))
    assert table["line"].to_pylist() == [
        line for _, _, line in sorted(rows, key=lambda r: r[1])
    ]


@pytest.mark.parametrize("pattern", ["*.blocks", "*.flushed"])
async def test_changed_local_file_is_set_aside_and_the_rest_served(tmp_path, pattern):
    """A damaged footer or flush record does not keep the ingester from starting."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch((0, 1, "first")))
        await ingester.flush()
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch((0, 2, "second")))
    path = next((tmp_path / "blocks").glob(pattern))
    changed = bytearray(path.read_bytes())
    changed[-5] ^= 1
    path.write_bytes(changed)

    async with cell.ingester() as ingester:
        assert expected(cell, (0, 2, "second"))[0] in await rows_of(ingester)
        assert path.with_name(path.name + ".damaged").exists()
        missing = (await ingester.select("t", ALL)).missing
        assert len(missing) == (1 if pattern == "*.blocks" else 0)
        await ingester.flush()


async def test_damaged_block_is_named_and_others_are_read(tmp_path):
    """A flipped bit in one block is an error that names it, not a wrong line."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch((0, 1, "a needle in the hay")))
    path = next((tmp_path / "blocks").glob("*.blocks"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"needle", b"noodle"))

    async with cell.ingester() as ingester:
        with pytest.raises(DataUnreadable, match=r"block 0 of 0000000001\.blocks"):
            await rows_of(ingester)


async def test_many_middling_pushes_are_merged_in_bounded_work(tmp_path):
    """Pieces that cannot be merged any further are left as they are."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        for second in range(70):
            rows = [(0, second * 10_000 + i, "x") for i in range(9_000)]
            await ingester.push("t", cell.batch(*rows))

        selection = await ingester.select("t", ALL)
        assert sum(unit.rows_max for unit in selection.units) == 70 * 9_000
