"""Cells of an ingester: of exactly what a selection found, wherever it lies."""

import contextlib
from dataclasses import replace

import pytest
from fakes.ingesters import batch_of
from prometheus_client import CollectorRegistry

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.config.schema import Config
from loki_py.ingester import cells as cells_module
from loki_py.ingester.metrics import IngesterMetrics
from loki_py.ingester.service import Ingester, IngesterSettings
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import Scan
from loki_py.runtime.clock import ManualClock
from loki_py.storage.memory import MemoryStore
from loki_py.wire.cells import CELLS_MAX, cells_of

CLOCK = ManualClock()
A, B = {"app": "a"}, {"app": "b"}
ROWS = [
    (labels, CLOCK.time_ns + n * 10**9, f"{n}") for n in range(40) for labels in (A, B)
]
ALL = Scan((Matcher("app", MatchType.REGEXP, ".+"),), 0, 2**62)


@contextlib.asynccontextmanager
async def started(folder):
    settings = IngesterSettings(
        "i-0", Config().ingester, folder / "wal", folder / "blocks", folder / "flush"
    )
    ingester = Ingester(
        settings,
        store=MemoryStore(),
        overrides=StaticOverrides(Limits()),
        clock=CLOCK,
        metrics=IngesterMetrics(CollectorRegistry()),
    )
    await ingester.start()
    try:
        yield ingester
    finally:
        await ingester.stop()


async def told(ingester, scan=ALL):
    return shown(await ingester.select("t", scan))


def shown(selection):
    """Return the cells as (labels, slice, count, total), sorted."""
    return listed(selection.cells(CELLS_MAX), selection.streams)


def listed(cells, streams):
    rows = zip(cells.stream, cells.slice, cells.count, cells.total, strict=True)
    return sorted((streams[s].text, int(k), int(n), int(t)) for s, k, n, t in rows)


def of(rows):
    batch = batch_of(rows)
    return listed(cells_of(batch), batch.streams)


async def test_cells_of_heads_and_files_are_the_same(tmp_path, monkeypatch):
    """Replicas that were sealed at other moments compare equal."""
    monkeypatch.setattr(cells_module, "ROWS_PER_CELL", 1)
    async with started(tmp_path) as ingester:
        await ingester.push("t", batch_of(ROWS[:30]))
        await ingester.push("t", batch_of(ROWS[30:]))
        in_head = await told(ingester)
    async with started(tmp_path) as ingester:
        in_file = await told(ingester)
        again = await told(ingester)

    assert in_head == in_file == again == of(ROWS)


async def test_cells_are_those_of_the_moment_of_the_selection(tmp_path):
    """What comes between a selection and its cells is not counted, nor twice."""
    async with started(tmp_path) as ingester:
        await ingester.push("t", batch_of(ROWS[:10]))
        early = await ingester.select("t", ALL)
        await ingester.push("t", batch_of(ROWS[10:]))
        late = await ingester.select("t", ALL)

        assert shown(late) == of(ROWS)
        assert shown(early) == of(ROWS[:10])
        assert shown(late) == of(ROWS)


async def test_cells_are_known_to_be_counted_until_more_comes(tmp_path, monkeypatch):
    """What is counted and little is told without a thread."""
    counted = []

    async def look(ingester):
        counted.append((await ingester.select("t", ALL)).cells_counted)
        await told(ingester)
        counted.append((await ingester.survey("t", ALL)).cells_counted)

    async with started(tmp_path) as ingester:
        await ingester.push("t", batch_of(ROWS[:30]))
        await look(ingester)
        await ingester.push("t", batch_of(ROWS[30:]))
        await look(ingester)
    async with started(tmp_path) as ingester:
        await look(ingester)
        monkeypatch.setattr(cells_module, "CELLS_AT_ONCE_MAX", 1)
        await look(ingester)

    assert counted == [False, True, False, True, False, True, False, False]


async def test_heads_without_entries_need_no_counting(tmp_path):
    async with started(tmp_path) as ingester:
        await ingester.push("t", batch_of(ROWS))
        await ingester.flush()
        await told(ingester)
        await ingester.push("other", batch_of(ROWS))

        assert (await ingester.select("t", ALL)).cells_counted


async def test_file_of_few_rows_has_long_slices(tmp_path):
    """What is kept is little against what it is about, and comes to the same."""
    async with started(tmp_path) as ingester:
        await ingester.push("t", batch_of(ROWS))
    async with started(tmp_path) as ingester:
        selection = await ingester.select("t", ALL)
        cells = selection.cells(CELLS_MAX)

    whole = cells_of(batch_of(ROWS)).coarser(cells.shift)
    assert len(cells) <= len(ROWS) // cells_module.ROWS_PER_CELL
    assert listed(cells, selection.streams) == listed(whole, batch_of(ROWS).streams)


@pytest.mark.parametrize("few_max", [0, 64])
async def test_only_streams_of_the_scan_have_cells(tmp_path, monkeypatch, few_max):
    monkeypatch.setattr(cells_module, "FEW_STREAMS_MAX", few_max)
    monkeypatch.setattr(cells_module, "ROWS_PER_CELL", 1)
    async with started(tmp_path) as ingester:
        await ingester.push("t", batch_of(ROWS))
        only_b = replace(ALL, matchers=(Matcher("app", MatchType.EQUAL, "b"),))
        in_head = await told(ingester, only_b)
    async with started(tmp_path) as ingester:
        in_file = await told(ingester, only_b)

    assert in_head == in_file == of([row for row in ROWS if row[0] == B])


async def test_only_slices_of_the_scan_have_cells(tmp_path):
    """One that the scan cuts is counted whole: so it is on all replicas."""
    async with started(tmp_path) as ingester:
        await ingester.push("t", batch_of(ROWS))
        middle_ns = ROWS[40][1]
        found = await told(ingester, replace(ALL, end_ns=middle_ns))

    last = (middle_ns - 1) >> 33
    assert found == of([row for row in ROWS if row[1] >> 33 <= last])


async def test_damaged_block_leaves_no_cells(tmp_path):
    """Nobody takes for equal what cannot be looked at."""
    async with started(tmp_path) as ingester:
        await ingester.push("t", batch_of([(A, CLOCK.time_ns, "a needle in the hay")]))
    path = next((tmp_path / "blocks").glob("*.blocks"))
    path.write_bytes(path.read_bytes().replace(b"needle", b"noodle"))
    async with started(tmp_path) as ingester:
        found = await ingester.select("t", ALL)

        assert found.cells(CELLS_MAX) is None


async def test_cells_that_are_not_kept_are_worked_out_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(cells_module, "KEPT_CELLS_MAX", 1)
    async with started(tmp_path) as ingester:
        await ingester.push("t", batch_of(ROWS))

        assert await told(ingester) == await told(ingester) == of(ROWS)
