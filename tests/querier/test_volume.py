"""Volumes: true bytes by series and span, from memory and from packs."""

import asyncio

import pytest
from fakes.entry_batches import batch_of, selected
from test_store_reader import NOW, Bucket, S

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.errors import QueryInvalid, RequestRejected
from loki_py.model.matchers import selects
from loki_py.model.scan import BatchUnit
from loki_py.querier import volume as volume_module
from loki_py.querier.executor import QueryExecutor
from loki_py.querier.index_service import (
    FieldsRequest,
    IndexQuerier,
    IndexStats,
    VolumeRequest,
    is_told,
)
from loki_py.querier.limits import LimitBroken
from loki_py.querier.requests import MetadataRequest
from loki_py.querier.service import Querier
from loki_py.querier.sources import Sources
from loki_py.querier.store_reader import StoreReader
from loki_py.querier.volume import edges_of
from loki_py.runtime.clock import ManualClock
from loki_py.transport.abc import InstanceLost, Selection

API = {"app": "api", "env": "prod"}
WEB = {"app": "web"}
ROWS = [
    (API, NOW, "12345", {"k": "v"}),
    (API, NOW + 30 * S, "123"),
    (API, NOW + 90 * S, "1"),
    (WEB, NOW + 10 * S, "12345678", {"k": "é"}),
    (WEB, NOW + 100 * S, ""),
]


class LostUnit(BatchUnit):
    """A unit of an instance that goes away."""

    def read(self, columns, stats):  # noqa: ARG002
        raise InstanceLost("i-1", "gone")


class LossyHead:
    """Ingesters of which one goes away in the middle, so many times."""

    def __init__(self, losses):
        self.losses = losses
        self.batch = batch_of(ROWS)

    async def select(self, tenant, scan):  # noqa: ARG002
        self.losses -= 1
        kind = LostUnit if self.losses >= 0 else BatchUnit
        return Selection([kind(self.batch)], ingesters_count=2)


class Head:
    """An ingester that holds one batch."""

    def __init__(self, rows):
        self.batch = batch_of(rows)

    async def select(self, tenant, scan):  # noqa: ARG002
        batch = self.batch
        mask = selected(batch, scan)
        return Selection([BatchUnit(batch.filter(mask))] if mask.any() else [])

    async def series(self, tenant, matchers, *, start_ns, end_ns):  # noqa: ARG002
        return [s for s in self.batch.streams if selects(matchers, s)]


@pytest.fixture(params=["memory", "packs", "both"])
def ask(request):
    """Ask over entries in memory, in packs, and in both at once."""
    bucket = Bucket()
    if request.param != "memory":
        bucket.flush(batch_of(ROWS[:2] + ROWS[3:4]))
        bucket.flush(batch_of(ROWS[2:3] + ROWS[4:]))
    heads = [] if request.param == "packs" else [Head(ROWS)]
    clock = ManualClock(NOW + 3600 * S)
    executor = QueryExecutor(threads_count=2, concurrent_max=2, outstanding_max=9)
    reader = StoreReader(bucket.store, clock)

    def ask(name, *arguments, limits=None):
        overrides = StaticOverrides(Limits.from_mapping(limits or {}))
        sources = Sources(heads, reader)
        querier = Querier(sources, executor, overrides, clock)
        index = IndexQuerier(querier, sources, executor, overrides, clock)
        return asyncio.run(getattr(index, name)("t", *arguments))

    yield ask
    executor.close()
    reader.close()


def volume(ask, query, *, start=0, end=200, limit=100, limits=None, **how):
    """Return {series: bytes} or, with a step, {series: {second: bytes}}."""
    request = VolumeRequest(query, NOW + start * S, NOW + end * S, limit, **how)
    data, _ = ask("volume", request, limits=limits)
    if request.step_ns is None:
        return {tuple(k): v for k, v in zip(data.labels, data.values, strict=True)}
    seconds = ((data.timestamp_ns - NOW) / S).tolist()
    return {
        labels: {
            second: value
            for second, value, there in zip(seconds, row, present, strict=True)
            if there
        }
        for labels, row, present in zip(
            data.labels, data.values, data.present, strict=True
        )
    }


def test_volume_is_the_bytes_of_lines_and_metadata(ask):
    found = volume(ask, '{app=~".+"}')

    assert found == {(("app", "api"),): 11, (("app", "web"),): 11}


def test_volume_counts_only_what_is_in_the_interval(ask):
    assert volume(ask, '{app=~".+"}', start=10, end=90) == {
        (("app", "web"),): 11,
        (("app", "api"),): 3,
    }
    assert volume(ask, '{app="api"}', start=31, end=90) == {}


def test_series_are_named_by_matchers_targets_or_all_labels(ask):
    prod = (("app", "api"), ("env", "prod"))

    assert volume(ask, '{env="prod"}') == {(("env", "prod"),): 11}
    assert volume(ask, '{app=~".+"}', targets=("env",)) == {(("env", "prod"),): 11}
    assert volume(ask, "{}") == {prod: 11, (("app", "web"),): 11}
    assert volume(ask, "") == volume(ask, "{}")


def test_volume_by_label_names_labels_alone(ask):
    assert volume(ask, '{app=~".+"}', by_label=True) == {
        (("app", ""),): 22,
        (("env", ""),): 11,
    }


def test_largest_series_come_first_and_the_limit_cuts(ask):
    assert list(volume(ask, '{app=~".+"}', end=50, limit=1)) == [(("app", "web"),)]


def test_volume_range_has_a_point_for_each_step_with_entries(ask):
    found = volume(ask, '{app=~".+"}', end=120, step_ns=60 * S)
    # NOW is 20 s past a whole minute.
    assert found == {
        (("app", "api"),): {39.999: 10, 99.999: 1},
        (("app", "web"),): {39.999: 11},
    }


def test_range_without_entries_is_an_empty_vector(ask):
    request = VolumeRequest('{app="none"}', NOW, NOW + S, 100, step_ns=S)

    data, _ = ask("volume", request)

    assert data.labels == []
    assert not hasattr(data, "present")


def test_limits_of_volumes_are_enforced(ask):
    with pytest.raises(LimitBroken, match=r"max number of series limit \(limit: 1 s"):
        volume(ask, "{}", limits={"volume_max_series": 1})
    with pytest.raises(RequestRejected, match="not found") as caught:
        volume(ask, "{}", limits={"volume_enabled": False})
    assert caught.value.status == 404
    with pytest.raises(QueryInvalid, match="only label matchers are supported"):
        volume(ask, '{app="api"} |= "x"')


def test_stats_count_streams_entries_and_bytes(ask):
    request = MetadataRequest(NOW, NOW + 95 * S, ("{}",))

    found = ask("stats", request)

    assert isinstance(found, IndexStats)
    assert (found.streams, found.entries, found.bytes) == (2, 4, 22)


def test_detected_labels_leave_out_those_whose_values_are_ids(ask):
    assert ask("detected_labels", MetadataRequest(NOW, NOW + 200 * S)) == {
        "app": 2,
        "env": 1,
    }
    assert not is_told("id", {"1", "2.5", "8a1b3c5e-0d1f-4a52-9b1c-2f6f5f0c9d7e"})
    assert is_told("id", {"1", "x"})
    assert is_told("pod", {"1"})


def test_detected_fields_come_from_the_newest_lines(ask):
    request = FieldsRequest('{app="api"}', NOW, NOW + 20 * S, 10, 1000)

    found = ask("detected_fields", request)

    assert {name: list(each.values) for name, each in found.items()} == {"k": ["v"]}
    assert ask("detected_field_values", "k", request) == ["v"]


def test_metric_queries_have_no_fields(ask):
    request = FieldsRequest('rate({app="api"}[1m])', NOW, NOW + S, 10, 1000)

    with pytest.raises(QueryInvalid, match="only log selector is supported"):
        ask("detected_fields", request)


@pytest.mark.parametrize(
    ("start", "end", "edges"),
    [(0, 60, [0, 30]), (10, 70, [10, 30, 60]), (10, 20, [10]), (5, 30, [5])],
)
def test_spans_start_at_the_start_and_at_multiples_of_the_step(start, end, edges):
    found = edges_of(start_ns=start * S, end_ns=end * S, step_ns=30 * S)

    assert (found // S).tolist() == edges


def test_sums_over_many_streams_and_spans_are_the_same(ask, monkeypatch):
    monkeypatch.setattr(volume_module, "DENSE_MAX", 0)

    test_volume_range_has_a_point_for_each_step_with_entries(ask)
    test_stats_count_streams_entries_and_bytes(ask)


@pytest.fixture
def ask_lossy():
    """Ask for a volume while instances go away; return the bytes and the cost."""
    executor = QueryExecutor(threads_count=1, concurrent_max=1, outstanding_max=9)
    clock = ManualClock(NOW + 3600 * S)
    overrides = StaticOverrides(Limits.from_mapping({}))
    reader = StoreReader(Bucket().store, clock)

    def ask(losses, lost):
        sources = Sources([LossyHead(losses)], reader, on_lost=lost.append)
        querier = Querier(sources, executor, overrides, clock)
        index = IndexQuerier(querier, sources, executor, overrides, clock)
        request = VolumeRequest('{env="prod"}', NOW, NOW + 200 * S, 10)
        data, cost = asyncio.run(index.volume("t", request))
        return data.values.sum(), cost.ingesters_reached

    yield ask
    executor.close()
    reader.close()


def test_volume_is_counted_anew_where_an_instance_is_lost(ask_lossy):
    """Nothing that was counted before the loss is counted twice."""
    whole = ask_lossy(0, [])
    lost = []

    assert ask_lossy(2, lost) == whole
    assert lost == ["i-1", "i-1"]
    assert whole[1] == 2


def test_volume_is_an_error_where_instances_are_lost_again_and_again(ask_lossy):
    with pytest.raises(InstanceLost):
        ask_lossy(3, [])
