"""A flush that fails leaves entries where they are, and nothing else behind."""

import errno
import io
import random

import pyarrow.parquet as pq
import pytest
from test_ingester_service import THREE, A, Cell, expected, rows_of

from loki_py.chunks.pack_writer import PackWriter
from loki_py.errors import Unavailable
from loki_py.ingester.flusher import (
    PACK_BYTES_MAX,
    PACK_BYTES_MIN,
    pack_bytes_max,
)
from loki_py.storage.memory import MemoryStore


class AwayStore(MemoryStore):
    """An object store that takes nothing while it is away."""

    is_away = True

    def put(self, key, data):
        if self.is_away:
            raise Unavailable("not reached")
        super().put(key, data)


async def test_flushes_while_the_store_is_away_do_not_fill_the_disk(tmp_path):
    """However often they are tried: what is put together to be sent is removed."""
    cell = Cell(tmp_path)
    cell.store = AwayStore()
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        for _ in range(3):
            with pytest.raises(Unavailable, match="not reached"):
                await ingester.flush()
        left = list((tmp_path / "flush").iterdir())
        cell.store.is_away = False
        await ingester.flush()

        assert left == []
        assert await rows_of(ingester) == expected(cell, *THREE)
    assert len(cell.flushed) == 1


async def test_full_disk_needs_no_room_to_be_flushed(tmp_path):
    """What fills it can leave it: packs are put together in memory then."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        ingester._flusher._free_bytes = lambda _: 0
        (tmp_path / "flush").rmdir()
        await ingester.flush()

        assert await rows_of(ingester) == expected(cell, *THREE)
    assert len(cell.flushed) == 1


class FullFile(io.FileIO):
    """A file on a disk with so much room."""

    def __init__(self, path, room_bytes):
        super().__init__(path, "w")
        self._room_bytes = room_bytes

    def write(self, data):
        self._room_bytes -= len(data)
        if self._room_bytes < 0:
            raise OSError(errno.ENOSPC, "no room")
        return super().write(data)


@pytest.mark.parametrize("room_bytes", [0, 5_000])
async def test_flush_that_meets_a_full_disk_goes_on_in_memory(
    tmp_path, monkeypatch, room_bytes
):
    """From where the pack began; what others wrote meanwhile fills a disk too."""
    monkeypatch.setattr(
        "loki_py.ingester.slices.slices_of.__kwdefaults__", {"slice_bytes": 900}
    )
    monkeypatch.setitem(PackWriter.__init__.__kwdefaults__, "row_group_bytes", 900)
    cell = Cell(tmp_path)
    opened = []

    def open_pack(path):
        opened.append(FullFile(path, room_bytes))
        return opened[-1]

    rows = [(0, n, random.Random(n).randbytes(450).hex()) for n in range(10)]
    async with cell.ingester() as ingester:
        for _ in range(2):
            await ingester.push("t", cell.batch(*rows, streams=(A,)))
            await cut(ingester)
        ingester._flusher._open_pack = open_pack
        await ingester.flush()
        (record,) = ingester._blocks.records.values()
        left = list((tmp_path / "flush").iterdir())

    assert len(opened) == 1
    assert left == []
    assert record.duplicates == len(rows)
    assert lines_of_packs(cell) == [line for _, _, line in rows]


def lines_of_packs(cell):
    packs = [io.BytesIO(cell.store.get(key)) for key in cell.store.list("t/packs/")]
    return [line for pack in packs for line in pq.read_table(pack)["line"].to_pylist()]


@pytest.mark.parametrize("is_full", [False, True])
async def test_packs_are_bounded_where_metadata_outweighs_lines(
    tmp_path, monkeypatch, is_full
):
    """What a full disk has no room for is as much as both together."""
    monkeypatch.setattr(
        "loki_py.ingester.slices.slices_of.__kwdefaults__", {"slice_bytes": 10_000}
    )
    monkeypatch.setattr("loki_py.ingester.flusher.PACK_BYTES_MIN", 10_000)
    monkeypatch.setattr("loki_py.ingester.flusher.PACK_BYTES_MAX", 10_000)
    cell = Cell(tmp_path)
    rows = [(n % 2, n, "ok") for n in range(100)]
    values = [random.Random(n).randbytes(500).hex() for n in range(100)]
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*rows, m=values))
        if is_full:
            ingester._flusher._free_bytes = lambda _: 0
        await ingester.flush()
    sizes = [len(cell.store.get(key)) for key in cell.store.list("t/packs/")]

    assert 5 <= len(sizes) <= 12
    assert max(sizes) < 30_000


async def test_flush_whose_record_finds_no_room_is_done(tmp_path):
    """It is not tried for ever; the next start does it once more."""
    cell = Cell(tmp_path)

    def write_record(_):
        raise OSError(errno.ENOSPC, "no room")

    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        ingester._blocks.write_record = write_record
        for _ in range(2):
            await ingester.flush()
        assert len(cell.flushed) == 1
    async with cell.ingester() as ingester:
        await ingester.flush()

        assert await rows_of(ingester) == expected(cell, *THREE)
    assert len(cell.flushed) == 2


async def test_flushes_go_on_whatever_broke_one_of_them(tmp_path):
    """It is counted and tried again; others are flushed, and dropped in time."""
    cell = Cell(tmp_path, pack_bytes_target=1, hot_tier_bytes_max=0)
    async with cell.ingester() as ingester:
        whole = ingester._flusher.flush

        def flush(tenant, *args, **kwargs):
            if tenant == "broken":
                raise ZeroDivisionError
            return whole(tenant, *args, **kwargs)

        ingester._flusher.flush = flush
        for tenant in ("broken", "whole"):
            await ingester.push(tenant, cell.batch(*THREE))
            await cut(ingester)
        for _ in range(2):
            await ingester._flushes.flush_due()

        assert [tenant for tenant, _, _ in cell.flushed] == ["whole"]
        assert await rows_of(ingester, tenant="whole") == []
        assert await rows_of(ingester, tenant="broken") == expected(cell, *THREE)
        assert ingester._metrics.flush_failures._value.get() == 2
        ingester._flusher.flush = whole
        await ingester._flushes.flush_due()
    assert [tenant for tenant, _, _ in cell.flushed] == ["whole", "broken"]


async def cut(ingester):
    """Make a block file of what was pushed, and flush none of it."""
    ingester._cutter.seal()
    await ingester._cutter.drained()


@pytest.mark.parametrize(
    ("free_bytes", "bytes_max"),
    [
        (0, PACK_BYTES_MIN),
        (100 << 20, 50 << 20),
        (1 << 40, PACK_BYTES_MAX),
    ],
)
def test_pack_fits_on_a_disk_that_is_nearly_full(free_bytes, bytes_max):
    assert pack_bytes_max(free_bytes) == bytes_max
