"""Patterns of another process are those that it counted."""

import contextlib

import pytest
from fakes.ingesters import FakeIngester

from loki_py.config.grpc_schema import GrpcServerTlsConfig, IngesterClientConfig
from loki_py.errors import TenantInvalid
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.pattern_rows import NO_ROWS, RowsBuilder
from loki_py.querier.merge import distinct_units
from loki_py.querier.served_leaves import ServedLeaves
from loki_py.ring.desc import InstanceDesc, InstanceState
from loki_py.runtime.clock import SystemClock
from loki_py.transport.abc import InstanceLost
from loki_py.transport.grpc_server import GrpcServer, GrpcServerSettings
from loki_py.transport.pattern_source import HeldPatterns
from loki_py.transport.pool import IngesterPool

ANY = (Matcher("app", MatchType.NOT_EQUAL, ""),)


class Counting(FakeIngester):
    """Has counted what it is told to have."""

    def __init__(self, held):
        super().__init__()
        self.held_patterns = held
        self.asked = []

    async def patterns(self, tenant, matchers, *, start_ns, end_ns):
        self.asked.append((tenant, matchers, start_ns, end_ns))
        return self.held_patterns


@contextlib.asynccontextmanager
async def served(ingester):
    """Yield a client of the ingester, over a real connection."""
    settings = GrpcServerSettings(
        "127.0.0.1", 0, 4 << 20, 100, GrpcServerTlsConfig(), 0.0
    )
    server = GrpcServer(
        ingester,
        settings,
        clock=SystemClock(),
        reason_not_ready=lambda: None,
        distinct=distinct_units,
        leaves=ServedLeaves(),
    )
    await server.start()
    pool = IngesterPool(IngesterClientConfig(), clock=SystemClock())
    await pool.start()
    address = f"127.0.0.1:{server.port}"
    try:
        yield pool.client_of(InstanceDesc("i-1", address, InstanceState.ACTIVE))
    finally:
        await pool.stop()
        await server.stop()


@pytest.mark.parametrize("samples", [{1: 2.0, 7: 0.5}, {}])
async def test_rows_and_keys_arrive_as_they_were_told(samples):
    built = RowsBuilder()
    built.add(LabelSet.of({"app": 'a"b'}), "info", "x <_>", samples)
    rows = built.rows() if samples else NO_ROWS
    ingester = Counting(HeldPatterns("i-1", rows, ("t/patterns/d/k",)))
    async with served(ingester) as client:
        found = await client.patterns("t", ANY, start_ns=1, end_ns=9)

    assert ingester.asked == [("t", ANY, 1, 9)]
    assert (found.writer, found.covered) == ("i-1", ("t/patterns/d/k",))
    assert found.rows.to_pylist() == rows.to_pylist()


async def test_tenant_that_can_be_none_is_refused():
    async with served(Counting(HeldPatterns("i-1"))) as client:
        with pytest.raises(TenantInvalid):
            await client.patterns("../up", ANY, start_ns=0, end_ns=1)


async def test_answer_that_is_no_rows_is_an_instance_lost():
    """Another program's columns are never taken for patterns."""
    ingester = Counting(HeldPatterns("i-1", NO_ROWS.drop_columns("lines")))
    async with served(ingester) as client:
        with pytest.raises(InstanceLost, match="rows of patterns have the columns"):
            await client.patterns("t", ANY, start_ns=0, end_ns=1)
