"""Packs of replicas that differ are read as their union, each entry once."""

import asyncio
import contextlib

import pytest
from fakes.ingesters import batch_of, rows_of
from prometheus_client import CollectorRegistry

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.config.schema import Config
from loki_py.ingester.metrics import IngesterMetrics
from loki_py.ingester.service import Ingester, IngesterSettings
from loki_py.logql.parser import parse
from loki_py.logql.question import Question
from loki_py.model.scan import Columns, ReadStats
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.merge import merged
from loki_py.querier.plan_leaf import PlanLeaf
from loki_py.querier.store_reader import StoreReader
from loki_py.runtime.clock import ManualClock
from loki_py.storage.memory import MemoryStore

S = 10**9
NAMES = ("ingester-0", "ingester-1", "ingester-2")
COUNT = 'sum by (app) (count_over_time({app=~".+"}[60s]))'


def missed_by(number, row):
    """Whether an ingester was away when a row came: no row is missed by two."""
    return row % 7 == number


@contextlib.asynccontextmanager
async def flushed(folder, rows):
    """Yield a bucket of three ingesters, each of which missed some of the rows."""
    store, clock = MemoryStore(), ManualClock()
    for number, name in enumerate(NAMES):
        own = folder / name
        ingester = Ingester(
            IngesterSettings(
                name, Config().ingester, own / "wal", own / "blocks", own / "flush"
            ),
            store=store,
            overrides=StaticOverrides(Limits()),
            clock=clock,
            metrics=IngesterMetrics(CollectorRegistry()),
        )
        await ingester.start()
        held = [row for n, row in enumerate(rows) if not missed_by(number, n)]
        # Packs of replicas begin and end at different entries too.
        cut = len(held) // (number + 2)
        for part in (held[:cut], held[cut:]):
            metadata = {"user": [line[-1] for _, _, line in part]}
            await ingester.push("t", batch_of(part, metadata=metadata))
            await ingester.flush()
        await ingester.stop()
    reader = StoreReader(store, clock)
    yield reader
    reader.close()


def made(count):
    """Entries of some streams; two of one time differ in their line."""
    return [
        ({"app": f"app{n % 3}"}, (n // 6 + 1) * S, f"line {n} of {n % 5}")
        for n in range(count)
    ]


@pytest.mark.parametrize("text", ['{app=~".+"}', '{app="app1"}', COUNT])
async def test_replicas_that_missed_pushes_are_read_as_their_union(tmp_path, text):
    rows = made(700)
    question = Question(text, 0, 600 * S, 60 * S, 10_000, forward=False)
    plan = question.plan(parse(text))
    leaf = plan.leaves[0]
    async with flushed(tmp_path, rows) as reader:
        found = await reader.select("t", leaf.scan)
        units = merged(found.units, leaf.scan)
        read = await asyncio.to_thread(
            lambda: [rows_of(unit.read(Columns(), ReadStats())) for unit in units]
        )
        executor = QueryExecutor(threads_count=2, concurrent_max=1, outstanding_max=1)
        await executor.run_leaf(
            units, leaf.scan, PlanLeaf(plan, leaf), watch=Unwatched(), stops_early=False
        )
        executor.close()

    wanted = [row for row in rows if "app1" not in text or row[0]["app"] == "app1"]
    assert sorted(row for each in read for row in each) == rows_of(batch_of(wanted))
    assert plan.finish().rows_kept == len(wanted)


class Unwatched:
    def note(self, stats):
        pass
