"""A flush that fails leaves entries where they are, and nothing else behind."""

import errno

import pytest
from test_ingester_service import THREE, Cell, expected, rows_of

from loki_py.errors import Unavailable
from loki_py.ingester.flusher import (
    PACK_LINE_BYTES_MAX,
    PACK_LINE_BYTES_MIN,
    pack_line_bytes_max,
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
    ("free_bytes", "line_bytes_max"),
    [
        (0, PACK_LINE_BYTES_MIN),
        (100 << 20, 50 << 20),
        (1 << 40, PACK_LINE_BYTES_MAX),
    ],
)
def test_pack_fits_on_a_disk_that_is_nearly_full(free_bytes, line_bytes_max):
    assert pack_line_bytes_max(free_bytes) == line_bytes_max
