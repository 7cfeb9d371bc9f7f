"""Patterns of pushes: counted, sampled under load, stored, selected, forgotten."""

import asyncio

import pytest
from fakes.entry_batches import batch_of

from loki_py.errors import RequestRejected, Unavailable
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.pattern_rows import SPAN_NS
from loki_py.patterns import service as service_module
from loki_py.patterns import table as table_module
from loki_py.patterns.followed import FollowedIngester
from loki_py.patterns.querier import OneInstance, PatternQuerier
from loki_py.patterns.service import LINES_BURST, PatternService
from loki_py.patterns.store import PatternStore
from loki_py.patterns.table import PatternTable
from loki_py.patterns.unstored import UnstoredCounts
from loki_py.runtime.clock import ManualClock
from loki_py.storage.memory import MemoryStore
from loki_py.transport.abc import PushAnswer

S = 1_000_000_000
API = LabelSet.of({"app": "api"})
ANY = (Matcher("app", MatchType.REGEXP, ".+"),)


class Ingester:
    """Takes everything but the streams that it is told to refuse."""

    def __init__(self, rejected=()):
        self.rejected = dict.fromkeys(rejected)

    async def push(self, tenant, batch):  # noqa: ARG002
        return PushAnswer(self.rejected)

    async def flush(self):
        pass


class Refusing(MemoryStore):
    """Takes nothing while it is told to refuse."""

    refuses = True

    def put(self, key, source):
        if self.refuses:
            raise Unavailable("no")
        super().put(key, source)


class Patterns:
    """A service over a store, and what is asked of both."""

    def __init__(self, objects=None, *, disk=None, writer="i-1", rejected=()):
        self.objects = MemoryStore() if objects is None else objects
        self.disk = MemoryStore() if disk is None else disk
        self.clock = ManualClock(1_000 * S)
        self.store = PatternStore(self.objects)
        self.left_out = []
        self.service = PatternService(
            self.clock,
            self.store,
            UnstoredCounts(self.disk),
            writer=writer,
            left_out=self.left_out.append,
        )
        self.ingester = FollowedIngester(Ingester(rejected), self.service)

    async def push(self, rows):
        await self.ingester.push("t", batch_of(rows))

    async def found(
        self, *, tenant="t", step_ns=10 * S, matchers=ANY, end_ns=1_000 * S
    ):
        """Return [(pattern, level, samples)], and what is missing."""
        querier = PatternQuerier(OneInstance(self.ingester), self.store)
        answer = await querier.select(
            tenant, matchers, start_ns=0, end_ns=end_ns, step_ns=step_ns
        )
        shown = [(p.pattern, p.level, list(p.samples)) for p in answer.patterns]
        return shown, answer.missing

    async def stop(self):
        await self.service.stop()
        self.store.close()


def found(rows, *, rejected=(), **asked):
    """Push rows and return [(pattern, level, samples)] of the tenant."""

    async def run():
        patterns = Patterns(rejected=rejected)
        await patterns.push(rows)
        shown, _ = await patterns.found(**asked)
        await patterns.stop()
        return shown

    return asyncio.run(run())


def lines(count, *, labels=("app", "api"), level="info"):
    return [
        (dict([labels]), at * S, f"request {at} took 5ms", {"detected_level": level})
        for at in range(count)
    ]


def test_lines_are_counted_by_pattern_level_and_ten_seconds():
    rows = [*lines(25), *lines(1, level="warn")]

    assert found(rows) == [
        ("request <_> took 5ms", "info", [(0, 10), (10 * S, 10), (20 * S, 5)]),
        ("request 0 took 5ms", "warn", [(0, 1)]),
    ]
    assert found(rows, step_ns=60 * S)[0][2] == [(0, 25)]


def test_other_tenants_refused_streams_and_unmatched_streams_are_left_out():
    assert found(lines(2), tenant="other") == []
    assert found(lines(2), rejected=[0]) == []
    nope = (Matcher("app", MatchType.EQUAL, "web"),)
    assert found(lines(2), matchers=nope) == []


def test_sample_under_load_stands_for_all_lines():
    rows = [
        ({"app": "api"}, 0, f"request {n} took 5ms") for n in range(3 * LINES_BURST)
    ]

    [(_, _, [(_, count)])] = found(rows)

    assert count == pytest.approx(3 * LINES_BURST)


def test_equal_patterns_of_streams_are_added_up():
    rows = [*lines(20), *lines(20, labels=("app", "web"))]

    [(pattern, _, samples)] = found(rows)

    assert pattern == "request <_> took 5ms"
    assert samples == [(0, 20), (10 * S, 20)]


def test_silent_patterns_are_forgotten_and_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(table_module, "CLUSTERS_MAX", 2)
    table = PatternTable()
    for number in range(4):
        words = f"alpha beta gamma {'x' * (number + 1)}"
        key = ("t", API, str(number))
        table.add(key, [words], [0], weight=1, now_ns=number * 60 * S)

    assert (len(table), table.samples_count) == (2, 2)
    table.forget(before_ns=180 * S)
    assert (len(table), table.samples_count) == (1, 1)
    table.forget(before_ns=1_000 * S)
    assert (len(table), table.samples_count) == (0, 0)


def test_lines_of_too_many_times_are_not_counted(monkeypatch):
    monkeypatch.setattr(table_module, "SAMPLES_MAX", 2)
    table = PatternTable()
    table.add(
        ("t", API, ""),
        ["one two three four"] * 5,
        [at * SPAN_NS for at in (0, 1, 2, 3, 0)],
        weight=1,
        now_ns=0,
    )

    assert table.rows("t", (), start_ns=0, end_ns=S**2)["lines"].to_pylist() == [2, 1]
    assert table.uncounted == 2


async def test_stored_counts_are_counted_once_and_go_on():
    """What is in the store is not in memory, and the pattern is still known."""
    patterns = Patterns()
    await patterns.push(lines(20))
    await patterns.ingester.flush()
    assert len(list(patterns.objects.list(""))) == 1
    await patterns.push([({"app": "api"}, 20 * S, "request 20 took 5ms")])
    held = await patterns.service.patterns("t", ANY, start_ns=0, end_ns=1_000 * S)

    assert held.rows["lines"].to_pylist() == [1]
    shown, missing = await patterns.found(step_ns=100 * S)
    assert ("request <_> took 5ms", "info", [(0, 20)]) in shown
    assert sum(n for _, _, samples in shown for _, n in samples) == 21
    assert missing == ()
    await patterns.stop()


async def test_another_process_finds_what_was_stored():
    first = Patterns()
    await first.push(lines(20))
    await first.service.persist()
    await first.stop()
    second = Patterns(first.objects)
    nope = (Matcher("app", MatchType.EQUAL, "web"),)

    assert (await second.found(step_ns=60 * S))[0] == [
        ("request <_> took 5ms", "info", [(0, 20)])
    ]
    assert (await second.found(end_ns=10 * S))[0][0][2] == [(0, 10)]
    assert (await second.found(tenant="other"))[0] == []
    assert (await second.found(matchers=nope))[0] == []
    await second.stop()


async def test_stop_stores_what_is_counted():
    patterns = Patterns()
    await patterns.service.start()
    await patterns.push(lines(3))
    await patterns.stop()

    assert len(list(patterns.objects.list("t/patterns/1970-01-01/"))) == 1


async def test_each_day_has_files_of_its_own():
    patterns = Patterns()
    day_s = 86_400
    await patterns.push(
        [({"app": "api"}, at * S, "a line like this") for at in (0, day_s, day_s + 1)]
    )
    await patterns.service.persist()

    keys = [key.split("/")[2] for key in patterns.objects.list("t/patterns/")]
    assert keys == ["1970-01-01", "1970-01-02"]
    shown, _ = await patterns.found(end_ns=3 * day_s * S, step_ns=day_s * S)
    assert shown == [("a line like this", "", [(0, 1), (day_s * S, 2)])]
    await patterns.stop()


async def test_counts_that_the_store_refuses_are_still_answered():
    """They wait for the store, and are stored once it takes them."""
    patterns = Patterns(Refusing())
    await patterns.push(lines(3))
    with pytest.raises(Unavailable):
        await patterns.service.persist()
    held = (await patterns.found(step_ns=60 * S))[0]
    patterns.objects.refuses = False
    await patterns.service.persist()

    assert held[0][2] == [(0, 3)]
    assert (await patterns.found(step_ns=60 * S))[0] == held
    assert patterns.service._waiting == {}
    await patterns.stop()


async def test_what_the_store_refuses_for_long_is_bounded(monkeypatch):
    """The oldest counts are given up, not memory."""
    monkeypatch.setattr(service_module, "ROWS_WAITING_MAX", 5)
    patterns = Patterns(Refusing())
    for first_s in (0, 100, 200):
        await patterns.push(
            [({"app": "api"}, (first_s + n * 10) * S, "a b c d") for n in range(2)]
        )
        with pytest.raises(Unavailable):
            await patterns.service.persist()

    [(_, _, samples)], _ = await patterns.found()
    assert [at // S for at, _ in samples] == [100, 110, 200, 210]
    await patterns.stop()


async def test_tenants_have_files_of_their_own():
    patterns = Patterns()
    tenants = [f"t{number}" for number in range(20)]
    for tenant in tenants:
        await patterns.ingester.push(tenant, batch_of(lines(1)))
    await patterns.service.persist()

    keys = sorted(patterns.objects.list(""))
    assert [key.split("/")[0] for key in keys] == sorted(tenants)
    await patterns.stop()


async def test_file_stored_while_it_is_asked_for_counts_once():
    """An instance says which files its answer is in already."""
    patterns = Patterns()
    await patterns.push(lines(3))
    service = patterns.service
    for key, file in await service._on_thread(service._take_counts):
        patterns.store.write(key, file)  # and the process did not hear of it yet

    assert (await patterns.found(step_ns=60 * S))[0][0][2] == [(0, 3)]
    await patterns.stop()


async def test_damaged_file_is_told_of_and_the_rest_is_answered():
    patterns = Patterns()
    for _ in range(2):
        await patterns.push(lines(3))
        await patterns.service.persist()
    key = next(iter(patterns.objects.list("")))
    patterns.objects.delete(key)
    patterns.objects.put(key, b"PAR1 nonsense")
    shown, missing = await patterns.found(step_ns=60 * S)

    assert [samples for _, _, samples in shown] == [[(0, 3)]]
    assert [text.startswith(key) for text in missing] == [True]
    await patterns.stop()


async def test_too_many_days_are_refused():
    patterns = Patterns()
    with pytest.raises(RequestRejected, match="patterns of 1158 days were asked for"):
        await patterns.found(end_ns=100_000_000 * S)
    await patterns.stop()


def test_push_goes_on_when_patterns_are_stopped():
    async def run():
        patterns = Patterns()
        await patterns.stop()
        await patterns.push(lines(3))
        return patterns.left_out

    assert asyncio.run(run()) == [3]


async def test_ingester_that_nobody_follows_answers_with_no_patterns():
    held = await FollowedIngester(Ingester(), None).patterns(
        "t", ANY, start_ns=0, end_ns=S
    )

    assert len(held.rows) == 0


async def test_what_a_killed_process_counted_is_stored_by_the_next():
    """It is on the local disk until the object store has it."""
    killed = Patterns()
    await killed.push(lines(20))
    await killed.service.keep()
    await killed.service.keep()
    assert len(list(killed.disk.list(""))) == 1
    following = Patterns(killed.objects, disk=killed.disk)
    await following.service.start()
    wanted = [("request <_> took 5ms", "info", [(0, 20)])]

    assert (await following.found(step_ns=60 * S))[0] == wanted
    await following.service.persist()
    assert (await following.found(step_ns=60 * S))[0] == wanted
    assert list(following.disk.list("")) == []
    assert len(list(following.objects.list(""))) == 1
    await following.stop()
    await asyncio.to_thread(killed.service._pool.shutdown)


async def test_a_kill_behind_the_store_counts_nothing_twice():
    killed = Patterns()
    await killed.push(lines(20))
    files = dict(await killed.service._on_thread(killed.service._take_counts))
    await killed.service._keep(files)
    for key, file in files.items():
        killed.store.write(key, file)
    following = Patterns(killed.objects, disk=killed.disk)
    await following.service.start()
    await following.service.persist()

    assert (await following.found(step_ns=60 * S))[0][0][2] == [(0, 20)]
    await following.stop()
    await asyncio.to_thread(killed.service._pool.shutdown)


async def test_a_local_disk_that_fails_stops_nothing():
    patterns = Patterns(disk=Refusing())
    await patterns.service.start()
    await patterns.push(lines(3))
    await patterns.service.keep()
    await patterns.service.persist()

    assert (await patterns.found(step_ns=60 * S))[0][0][2] == [(0, 3)]
    await patterns.stop()


async def test_damaged_counts_on_the_local_disk_are_dropped():
    disk = MemoryStore()
    disk.put("t/patterns/1970-01-01/x-i.parquet", b"PAR1 nonsense")
    patterns = Patterns(disk=disk)
    await patterns.service.start()

    assert (await patterns.found())[0] == []
    assert list(disk.list("")) == []
    await patterns.stop()


async def test_lines_that_take_long_are_looked_at_less(monkeypatch):
    """What they took too much is saved on those that come next."""
    monkeypatch.setattr(service_module, "LINE_S", 1e-12)
    patterns = Patterns()
    await patterns.push(lines(10))
    await patterns.found()  # the thread is done with them
    await patterns.push(lines(10))

    assert patterns.left_out == [10]
    await patterns.stop()
