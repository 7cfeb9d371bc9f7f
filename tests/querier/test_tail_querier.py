"""Tails: the backlog and then what comes, in order, each entry once, in frames."""

import asyncio
import contextlib

import pytest
from prometheus_client import CollectorRegistry
from test_querier import API, NOW, WEB, FakeIngester, FakeStore, S, entries

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.errors import QueryInvalid, RequestRejected
from loki_py.querier import tail as module
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.service import Querier
from loki_py.querier.sources import Sources
from loki_py.querier.tail import TailEnded, TailMetrics, TailQuerier, TailRequest
from loki_py.runtime.clock import ManualClock
from loki_py.transport.tailing import Arrivals


class FakeFeed:
    """Tells of what it is given; is what it hands out, too."""

    def __init__(self):
        self.coming = asyncio.Queue()
        self.matchers = None
        self.closed = 0
        self.told = 0
        self.asked_again = asyncio.Event()

    def tail(self, tenant, matchers):
        assert tenant == "t"
        self.matchers = matchers
        return self

    async def begun(self):
        """It began when it was made."""

    async def arrivals(self):
        if self.told and self.coming.empty():
            self.asked_again.set()
        return await self.coming.get()

    def close(self):
        self.closed += 1

    def tell(self, *batches, dropped=()):
        self.told += 1
        count = sum(map(len, dropped))
        self.coming.put_nowait(Arrivals(batches, dropped, count))


class Cell:
    """A tail querier over one batch, a feed, and a clock."""

    def __init__(self, executor, batch, **limits):
        self.clock = ManualClock(NOW)
        self.feed = FakeFeed()
        self.registry = CollectorRegistry()
        overrides = StaticOverrides(Limits(**limits))
        sources = Sources([FakeIngester(batch)], FakeStore())
        querier = Querier(sources, executor, overrides, self.clock)
        self.tails = TailQuerier(
            self.feed,
            querier,
            executor,
            overrides,
            self.clock,
            TailMetrics(self.registry),
            3_600 * S,
        )

    @contextlib.asynccontextmanager
    async def frames(self, query, *, limit=100, delay_ns=0, categorized=False):
        request = TailRequest(query, NOW - 3_600 * S, limit, delay_ns, categorized)
        with self.tails.opened("t", request) as tail:
            async with contextlib.aclosing(tail.frames()) as frames:
                yield frames


BACKLOG = entries((API, -3, "one"), (WEB, -2, "two"), (API, -1, "three"))
ALL = '{app=~".+"}'


@pytest.fixture
def executor(monkeypatch):
    monkeypatch.setattr(module, "GATHER_S", 0)
    made = QueryExecutor(threads_count=1, concurrent_max=2, outstanding_max=10)
    yield made
    made.close()


async def rows_of(frames):
    entries = (await asyncio.wait_for(anext(frames), 5)).entries
    return [
        (dict(entries.labels[at])["app"], (time - NOW) / S, line)
        for at, time, line in zip(
            entries.labels_index.tolist(),
            entries.timestamp_ns.tolist(),
            entries.line.to_pylist(),
            strict=True,
        )
    ]


async def test_backlog_comes_first_and_oldest_first(executor):
    cell = Cell(executor, BACKLOG)
    cell.feed.tell(entries((WEB, 1, "live")))

    async with cell.frames(ALL) as frames:
        backlog, live = await rows_of(frames), await rows_of(frames)

    assert backlog == [("api", -3, "one"), ("web", -2, "two"), ("api", -1, "three")]
    assert live == [("web", 1, "live")]
    assert cell.feed.closed == 1


async def test_backlog_is_the_newest_up_to_the_limit(executor):
    cell = Cell(executor, BACKLOG)

    async with cell.frames(ALL, limit=2) as frames:
        assert await rows_of(frames) == [("web", -2, "two"), ("api", -1, "three")]


async def test_entry_that_was_in_the_backlog_comes_once(executor):
    """It was stored before the backlog was read, and told of after."""
    cell = Cell(executor, BACKLOG)
    cell.feed.tell(entries((API, -1, "three"), (API, -1, "three"), (WEB, -1, "three")))

    async with cell.frames(ALL) as frames:
        await rows_of(frames)
        live = await rows_of(frames)

    assert live == [("api", -1, "three"), ("web", -1, "three")]


async def test_entries_of_many_pushes_come_in_order_of_time(executor):
    cell = Cell(executor, BACKLOG)
    cell.feed.tell(
        entries((API, 3, "c"), (API, 1, "a")), entries((WEB, 2, "b"), (WEB, 1, "A"))
    )

    async with cell.frames(ALL) as frames:
        await rows_of(frames)
        live = await rows_of(frames)

    assert [(at, line) for _, at, line in live] == [
        (1, "a"),
        (1, "A"),
        (2, "b"),
        (3, "c"),
    ]


async def test_pipeline_runs_on_what_comes(executor):
    """Filters drop, parsers add labels, formats change the line."""
    cell = Cell(executor, BACKLOG)
    cell.feed.tell(entries((API, 1, "n=1"), (API, 2, "n=5"), (API, 3, "no")))
    query = '{app="api"} | logfmt | n > 3 | line_format "{{.n}} of {{.app}}"'

    async with cell.frames(query) as frames:
        frame = await asyncio.wait_for(anext(frames), 5)

    assert frame.entries.line.to_pylist() == ["5 of api"]
    assert dict(frame.entries.labels[0])["n"] == "5"
    assert [str(matcher) for matcher in cell.feed.matchers] == ['app="api"']


async def test_lines_that_a_filter_drops_make_no_frame(executor):
    cell = Cell(executor, BACKLOG)
    cell.feed.tell(entries((API, 1, "drop me")))
    cell.feed.tell(entries((API, 2, "keep me")))

    async with cell.frames('{app="api"} |= "keep"') as frames:
        assert await rows_of(frames) == [("api", 2, "keep me")]


async def test_labels_are_told_apart_where_asked(executor):
    cell = Cell(executor, BACKLOG)
    cell.feed.tell(entries((API, 1, "n=1")))

    async with cell.frames('{app="api"} |= "n=" | logfmt', categorized=True) as frames:
        entries_ = (await asyncio.wait_for(anext(frames), 5)).entries

    assert list(entries_.labels) == [(("app", "api"), ("env", "prod"))]
    assert entries_.categories.parsed[entries_.categories.parsed_index[0]] == (
        ("n", "1"),
    )


async def test_held_back_entries_are_put_in_order(executor):
    """With a delay, an entry that comes late still stands at its time."""
    cell = Cell(executor, BACKLOG)
    async with cell.frames(ALL, delay_ns=2 * S) as frames:
        await rows_of(frames)
        cell.feed.tell(entries((API, 0, "late push, first line")))
        waiting = asyncio.ensure_future(anext(frames))
        await cell.feed.asked_again.wait()
        cell.clock.advance(2 * S)
        cell.feed.tell(entries((API, -0.5, "came later")))
        lines = (await asyncio.wait_for(waiting, 5)).entries.line.to_pylist()

    assert lines == ["came later", "late push, first line"]


async def test_long_answer_is_cut_into_frames(executor):
    cell = Cell(executor, BACKLOG)
    cell.feed.tell(entries(*((API, at, f"{at}") for at in range(250))))

    async with cell.frames('{app="api"} !~ "e"') as frames:
        sizes = [len(await rows_of(frames)) for _ in range(3)]

    assert sizes == [100, 100, 50]


async def test_dropped_entries_are_told_of(executor):
    """Also where nothing else is to be told."""
    cell = Cell(executor, BACKLOG)
    gone = entries((API, 1, "gone"))
    cell.feed.tell(dropped=[gone])

    async with cell.frames(ALL) as frames:
        await rows_of(frames)
        frame = await asyncio.wait_for(anext(frames), 5)

    assert frame.entries is None
    assert [(each.labels, each.timestamp_ns) for each in frame.dropped] == [
        (API.pairs, NOW + S)
    ]
    name = "loki_querier_tail_dropped_entries_total"
    assert cell.registry.get_sample_value(name) == 1


async def test_tail_ends_when_its_time_is_over(executor):
    cell = Cell(executor, BACKLOG)
    async with cell.frames(ALL) as frames:
        await rows_of(frames)
        cell.clock.advance(3_600 * S)
        with pytest.raises(TailEnded, match=r"^reached tail max duration limit$"):
            await asyncio.wait_for(anext(frames), 5)


async def test_metric_query_is_ended_not_refused(executor):
    cell = Cell(executor, BACKLOG)
    async with cell.frames(f"rate({ALL}[1m])") as frames:
        with pytest.raises(TailEnded, match=r"^only log selector is supported$"):
            await anext(frames)


def test_request_is_refused_before_it_opens(executor):
    cell = Cell(executor, BACKLOG, query_entries_max=10)

    with pytest.raises(QueryInvalid):
        cell.tails.check("t", TailRequest("{", NOW, 1))
    with pytest.raises(RequestRejected, match="11 > 10"):
        cell.tails.check("t", TailRequest(ALL, NOW, 11))


def test_tails_of_a_tenant_are_counted(executor):
    cell = Cell(executor, BACKLOG, tail_requests_max=1)
    request = TailRequest(ALL, NOW, 1)

    with cell.tails.opened("t", request):
        assert cell.registry.get_sample_value("loki_querier_tail_active") == 1
        with pytest.raises(
            RequestRejected,
            match=r"^max concurrent tail requests limit exceeded,"
            r" count > limit \(2 > 1\)$",
        ):
            cell.tails.check("t", request)
        cell.tails.check("other", request)

    cell.tails.check("t", request)
    assert cell.registry.get_sample_value("loki_querier_tail_active") == 0
