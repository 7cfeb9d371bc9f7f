"""Patterns of pushes: counted, sampled under load, selected, forgotten."""

import asyncio

import pytest
from fakes.entry_batches import batch_of

from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType
from loki_py.patterns import table as table_module
from loki_py.patterns.service import LINES_BURST, FollowedIngester, PatternService
from loki_py.patterns.table import PatternTable
from loki_py.runtime.clock import ManualClock
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


def found(rows, *, rejected=(), tenant="t", step_ns=10 * S, matchers=ANY):
    """Push rows and return [(pattern, level, samples)] of the tenant."""

    async def run():
        service = PatternService(ManualClock(1_000 * S))
        await FollowedIngester(Ingester(rejected), service).push("t", batch_of(rows))
        chosen = await service.select(
            tenant, matchers, start_ns=0, end_ns=1_000 * S, step_ns=step_ns
        )
        await service.stop()
        return [(each.pattern, each.level, list(each.samples)) for each in chosen]

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


def test_old_samples_are_forgotten_and_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(table_module, "CLUSTERS_MAX", 2)
    table = PatternTable()
    for number in range(4):
        words = f"alpha beta gamma {'x' * (number + 1)}"
        table.add(("t", API, str(number)), [words], [number * 60 * S], weight=1)

    assert len(table) == 2
    table.forget(before_ns=180 * S)
    assert len(table) == 1
    table.forget(before_ns=1_000 * S)
    assert len(table) == 0


def test_push_goes_on_when_patterns_are_stopped():
    async def run():
        service = PatternService(ManualClock())
        await service.stop()
        await FollowedIngester(Ingester(), service).push("t", batch_of(lines(3)))
        return service.lines_left_out

    assert asyncio.run(run()) == 3
