"""A flush that fails leaves entries where they are, and nothing else behind."""

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
