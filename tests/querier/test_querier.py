"""The querier as its callers see it, over ingesters that hold plain batches."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.errors import DataUnreadable, QueryInvalid, QueryTimeout, RequestRejected
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import selects
from loki_py.model.scan import BatchUnit
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.requests import InstantRequest, MetadataRequest, RangeRequest
from loki_py.querier.service import Querier
from loki_py.querier.sources import Sources
from loki_py.querier.store_reader import StoreSelection
from loki_py.runtime.clock import ManualClock
from loki_py.transport.abc import Selection

S = 1_000_000_000
NOW = 1_700_000_040 * S
API = LabelSet.of({"app": "api", "env": "prod"})
WEB = LabelSet.of({"app": "web", "env": "dev"})


def entries(*rows):
    """A batch of (labels, seconds, line)."""
    streams = list(dict.fromkeys(labels for labels, *_ in rows))
    return EntryBatch(
        streams,
        np.array([streams.index(labels) for labels, *_ in rows], np.uint32),
        np.array([NOW + int(at * S) for _, at, _ in rows], np.int64),
        pa.array([line for *_, line in rows], pa.large_string()),
    )


@dataclass
class FakeIngester:
    """Holds one batch; notes what it was asked."""

    batch: EntryBatch
    covered: frozenset = frozenset()
    origin: str = "ingester"
    scans: list = field(default_factory=list)
    missing: tuple = ()

    async def select(self, tenant, scan):
        self.scans.append((tenant, scan))
        wanted = np.array([selects(scan.matchers, s) for s in self.batch.streams])
        times = self.batch.timestamp_ns
        mask = wanted[self.batch.stream]
        mask &= (times >= scan.start_ns) & (times < scan.end_ns)
        units = [BatchUnit(self.batch.filter(mask), origin=self.origin)]
        return Selection(units if mask.any() else [], self.covered, 1, self.missing)

    async def series(self, tenant, matchers, *, start_ns, end_ns):  # noqa: ARG002
        return [s for s in self.batch.streams if selects(matchers, s)]


@dataclass
class FakeStore:
    """A store that holds nothing, or says what is missing."""

    missing: tuple = ()
    skipped: frozenset | None = None

    def is_prepared(self, tenant):  # noqa: ARG002
        return True

    async def select(self, tenant, scan, *, skip, stops_early):  # noqa: ARG002
        self.skipped = skip
        return StoreSelection([], missing=self.missing)

    async def series(self, *_, **__):
        return []

    label_names = label_values = series


BATCH = entries(
    (API, -30, "GET /a 200"),
    (API, -20, "GET /b 500"),
    (WEB, -10, "hello"),
    (API, -5, "GET /c 200"),
)


@pytest.fixture
def make():
    executors = []

    def querier(*ingesters, store=None, partial_allowed=False, **limits):
        executor = QueryExecutor(threads_count=2, concurrent_max=2, outstanding_max=9)
        executors.append(executor)
        return Querier(
            Sources(ingesters, store or FakeStore()),
            executor,
            StaticOverrides(Limits.from_mapping(limits)),
            ManualClock(NOW),
            partial_allowed=partial_allowed,
        )

    yield querier
    for executor in executors:
        executor.close()


def ranged(query, **given):
    asked = {"start_ns": NOW - 60 * S, "end_ns": NOW, "step_ns": 60 * S, "limit": 100}
    return RangeRequest(query, **{**asked, **given})


async def test_a_log_query_returns_the_newest_entries_first(make):
    answer = await make(FakeIngester(BATCH)).query_range("t", ranged('{app="api"}'))

    assert answer.result.data.line.to_pylist() == [
        "GET /c 200",
        "GET /b 500",
        "GET /a 200",
    ]
    assert answer.cost.rows_returned == 3
    assert answer.cost.read.head_rows == 3
    assert answer.cost.ingesters_reached == 1


class UnlistedStore(FakeStore):
    """Must list its index; notes what is asked of it."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.is_listing = asyncio.Event()

    def is_prepared(self, tenant):
        return ("prepare", tenant) in self.asked

    async def prepare(self, tenant):
        self.asked.append(("prepare", tenant))
        self.is_listing.set()

    async def select(self, tenant, scan, **given):
        self.asked.append(("select", tenant))
        return await super().select(tenant, scan, **given)


async def test_the_index_is_listed_while_ingesters_answer_and_read_behind_them(make):
    store = UnlistedStore()

    class WaitingIngester(FakeIngester):
        async def select(self, tenant, scan):
            await store.is_listing.wait()
            store.asked.append(("ingester", tenant))
            return await super().select(tenant, scan)

    querier = make(WaitingIngester(BATCH, frozenset({"pack"})), store=store)

    for _ in range(2):
        await querier.query_range("t", ranged('{app="api"}'))

    once = [("ingester", "t"), ("select", "t")]
    assert store.asked == [("prepare", "t"), *once, *once]
    assert store.skipped == {"pack"}


async def test_replicas_answer_once(make):
    """The same entries of two ingesters are one result."""
    querier = make(FakeIngester(BATCH, origin="a"), FakeIngester(BATCH, origin="b"))

    answer = await querier.query_range("t", ranged('{app=~".+"} |= "GET"'))

    assert len(answer.result.data) == 3
    assert answer.cost.read.duplicates == 4


async def test_packs_that_an_ingester_covers_are_not_asked_for(make):
    store = FakeStore()
    ingester = FakeIngester(BATCH, covered=frozenset({"t/packs/1"}))

    await make(ingester, store=store).query_range("t", ranged('{app="api"}'))

    assert store.skipped == {"t/packs/1"}


async def test_an_interval_without_length_holds_its_start(make):
    at = NOW - 20 * S
    request = ranged('{app="api"}', start_ns=at, end_ns=at)

    answer = await make(FakeIngester(BATCH)).query_range("t", request)

    assert answer.result.data.line.to_pylist() == ["GET /b 500"]


async def test_points_of_a_metric_query_lie_on_multiples_of_the_step(make):
    request = ranged('sum(count_over_time({env=~".+"}[1m]))', start_ns=NOW - 59 * S)

    data = (await make(FakeIngester(BATCH)).query_range("t", request)).result.data

    assert (data.timestamp_ns % (60 * S) == 0).all()
    assert data.values[data.present].sum() == 4


async def test_several_ranges_are_read_in_one_query(make):
    query = (
        'sum(count_over_time({app="api"}[1m])) - sum(count_over_time({app="web"}[1m]))'
    )

    answer = await make(FakeIngester(BATCH)).query("t", InstantRequest(query, NOW, 100))

    assert answer.result.data.values.tolist() == [2.0]
    assert answer.cost.subqueries_count == 2


async def test_a_number_needs_no_source(make):
    answer = await make().query("t", InstantRequest("1 + 1", NOW, 100))

    assert answer.result.data.value == 2


async def test_an_instant_log_query_is_refused(make):
    with pytest.raises(QueryInvalid, match="not supported as an instant query type"):
        await make().query("t", InstantRequest('{app="api"}', NOW, 100))


async def test_limits_are_checked_before_any_work(make):
    ingester = FakeIngester(BATCH)
    querier = make(ingester, max_entries_limit_per_query=10)

    with pytest.raises(RequestRejected, match=r"\(100 > 10\)"):
        await querier.query_range("t", ranged('{app="api"}'))

    assert ingester.scans == []


async def test_time_before_the_lookback_is_not_read(make):
    querier = make(FakeIngester(BATCH), max_query_lookback="15s")

    recent = await querier.query_range("t", ranged('{env=~".+"}'))
    old = await querier.query_range("t", ranged('{env=~".+"}', end_ns=NOW - 30 * S))

    assert recent.result.data.line.to_pylist() == ["GET /c 200", "hello"]
    assert len(old.result.data) == 0
    assert old.cost.read.head_rows == 0


async def test_a_query_that_reads_too_much_is_ended(make):
    querier = make(FakeIngester(BATCH), max_query_bytes_read="5B")

    with pytest.raises(RequestRejected, match="would read too many bytes"):
        await querier.query_range("t", ranged('{app="api"}'))


async def test_a_query_out_of_time_is_ended(make):
    class Stuck(FakeIngester):
        async def select(self, *_):
            import asyncio

            await asyncio.Event().wait()

    querier = make(Stuck(BATCH), query_timeout="1ms")

    with pytest.raises(QueryTimeout):
        await querier.query_range("t", ranged('{app="api"}'))


async def test_a_damaged_index_fails_the_query(make):
    querier = make(FakeIngester(BATCH), store=FakeStore(("index file x is damaged",)))

    with pytest.raises(DataUnreadable, match="index file x is damaged"):
        await querier.query_range("t", ranged('{app="api"}'))


async def test_a_damaged_index_is_a_warning_where_that_is_allowed(make):
    store = FakeStore(("index file x is damaged",))
    querier = make(FakeIngester(BATCH), store=store, partial_allowed=True)

    answer = await querier.query_range("t", ranged('{app="api"}'))

    assert answer.warnings == ("index file x is damaged",)
    assert len(answer.result.data) == 3


def asked(*selectors):
    return MetadataRequest(NOW - 60 * S, NOW, selectors)


async def test_labels_and_values_are_sorted_and_unique(make):
    querier = make(FakeIngester(BATCH), FakeIngester(BATCH))

    assert await querier.labels("t", asked()) == ["app", "env"]
    assert await querier.label_values("t", "app", asked()) == ["api", "web"]
    assert await querier.label_values("t", "app", asked('{env="dev"}')) == ["web"]
    assert await querier.label_values("t", "nope", asked()) == []


async def test_series_are_the_union_of_the_selectors(make):
    querier = make(FakeIngester(BATCH))

    assert await querier.series("t", asked('{app="web"}', '{env="dev"}')) == [WEB]
    assert await querier.series("t", asked("{ }")) == [API, WEB]


@pytest.mark.parametrize(
    ("selectors", "message"),
    [
        (("{}", '{app="a"}'), r"^0 matchers in group: \{\}$"),
        (('{app="a"} |= "x"',), "^only label matchers are supported$"),
        (('rate({app="a"}[1m])',), "^only label matchers are supported$"),
    ],
)
async def test_series_take_plain_selectors_only(make, selectors, message):
    with pytest.raises(QueryInvalid, match=message):
        await make().series("t", asked(*selectors))


async def test_what_an_ingester_lost_for_good_is_told_with_every_answer(make):
    """A file that was set aside does not refuse all questions; answers name it."""
    lost = "0000000001.blocks.damaged cannot be read"
    querier = make(FakeIngester(BATCH, missing=(lost,)))

    answer = await querier.query_range("t", ranged('{app="web"}'))

    assert answer.warnings == (lost,)
    assert answer.result.data.line.to_pylist() == ["hello"]
