"""An ingester over gRPC answers as the ingester itself does, or says why not."""

import asyncio
import contextlib
import gc

import grpc
import pyarrow as pa
import pytest
from fakes.certificates import Authority
from fakes.ingesters import FakeIngester, batch_of, read_all, rows_of
from fakes.served import served
from fakes.wires import Wire

from loki_py.config.grpc_schema import GrpcServerTlsConfig, IngesterClientConfig
from loki_py.errors import (
    LimitExceeded,
    NotReady,
    TenantInvalid,
    Unavailable,
    UnknownVersion,
    ValidationFailed,
)
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, MatchType
from loki_py.model.scan import Columns, ReadStats, Scan, Skipped
from loki_py.ring.desc import InstanceDesc, InstanceState
from loki_py.runtime.clock import SystemClock
from loki_py.transport import grpc_names as names
from loki_py.transport import pool as pool_module
from loki_py.transport.abc import Discard, InstanceLost, PushAnswer
from loki_py.transport.grpc_calls import error_of_call
from loki_py.transport.grpc_names import RECONNECT_MS_MIN
from loki_py.transport.pool import IngesterPool
from loki_py.transport.remote_units import counts_of

A, B = {"app": "a"}, {"app": "b", "env": 'x"\n'}
EVERY_APP = (Matcher("app", MatchType.REGEXP, ".+"),)


def scan_of(*, columns=None, literals=(), matchers=EVERY_APP):
    return Scan(matchers, 0, 1_000, columns or Columns(), literals=literals)


async def test_pushed_batch_arrives_as_it_was_sent():
    """Streams, times, lines and metadata are the same; unused streams stay here."""
    ingester = FakeIngester()
    sent = batch_of(
        [(A, 1, "one"), (B, 2, "zwei ü\n"), (A, 3, "")],
        metadata={"trace": ["t", None, ""]},
    )
    async with served(ingester) as (client, _):
        await client.push("t", sent)

    assert ingester.held("t") == rows_of(sent)
    arrived = ingester.batches[0][1]
    assert arrived.metadata["trace"].to_pylist() == ["t", None, ""]


async def test_refusals_come_back_at_the_positions_of_the_push():
    """A stream that was refused is told by its place in the sender's batch."""
    ingester = FakeIngester()
    ingester.answer = PushAnswer(
        {0: LimitExceeded("too fast")}, [Discard("rate_limited", 2, 20, 0)]
    )
    rows = batch_of([(A, 1, "a"), (B, 2, "b")]).take(pa.array([1]).to_numpy())
    async with served(ingester) as (client, _):
        answer = await client.push("t", rows)

    assert list(answer.rejected) == [1]
    assert isinstance(answer.rejected[1], LimitExceeded)
    assert answer.rejected[1].status == 429
    assert answer.discards == [Discard("rate_limited", 2, 20, 1)]


@pytest.mark.parametrize("error", [ValidationFailed("no"), NotReady("leaving")])
async def test_errors_of_the_ingester_are_raised_here(error):
    """The class, the text and the status are those of the other process."""
    ingester = FakeIngester()
    ingester.error = error
    async with served(ingester) as (client, _):
        with pytest.raises(type(error), match=str(error)) as raised:
            await client.push("t", batch_of([(A, 1, "a")]))

    assert raised.value.status == error.status


async def test_errors_that_are_none_of_ours_are_not_told():
    """What broke inside stays in the log of where it broke."""
    ingester = FakeIngester()
    ingester.error = ZeroDivisionError("secret")
    async with served(ingester) as (client, _):
        with pytest.raises(Exception, match="internal error") as raised:
            await client.series("t", (), start_ns=0, end_ns=1)

    assert "secret" not in str(raised.value)


async def test_ingester_that_is_slow_to_say_hello_is_reached():
    """Who just started is busy: calls wait for it instead of failing at once."""
    ingester = FakeIngester()
    async with served(ingester) as (_, server):
        wire = Wire(server.port)
        wire.cut()
        pool = IngesterPool(IngesterClientConfig(), clock=SystemClock())
        address = f"127.0.0.1:{wire.port}"
        client = pool.client_of(InstanceDesc("i-1", address, InstanceState.ACTIVE))
        push = asyncio.create_task(client.push("t", batch_of([(A, 1, "a")])))
        done, _ = await asyncio.wait([push], timeout=3 * RECONNECT_MS_MIN / 1000)
        await asyncio.to_thread(wire.heal)

        assert not done
        await push
        await pool.stop()
        await asyncio.to_thread(wire.stop)
    assert len(ingester.batches) == 1


async def test_selection_is_read_unit_by_unit():
    """Units there are units here: the same rows, bounds, origins and packs."""
    ingester = FakeIngester()
    ingester.packs_covered = frozenset({"t/packs/1"})
    for start in (0, 100):
        await ingester.push(
            "t", batch_of([(A, start + 1, "one"), (B, start + 2, "two")])
        )
    await ingester.push("other", batch_of([(A, 5, "not yours")]))
    async with served(ingester) as (client, _):
        found = await client.select("t", scan_of())
        stats = ReadStats()
        rows = await asyncio.to_thread(read_all, found, Columns(), stats)

    assert rows == ingester.held("t")
    assert found.packs_covered == {"t/packs/1"}
    assert [unit.origin for unit in found.units] == ["i-1/head/0", "i-1/head/1"]
    assert [(unit.min_ns, unit.max_ns) for unit in found.units] == [(1, 2), (101, 102)]
    assert found.units[0].runs.min_ns.tolist() == [1, 2]
    assert stats.head_rows == 4


@pytest.mark.parametrize("rows", [[], [(A, 1, "one")]])
async def test_what_an_ingester_passed_over_is_told_over_the_wire(rows):
    """With units to read, and without."""
    ingester = FakeIngester()
    ingester.skipped = Skipped(outside_time=3, other_streams=4)
    if rows:
        await ingester.push("t", batch_of(rows))
    async with served(ingester) as (client, _):
        found = await client.select("t", scan_of())

    assert found.skipped == ingester.skipped


def test_reasons_of_a_newer_peer_are_ignored():
    told = {"other_streams": 2, "not_known_yet": 3}

    assert counts_of(Skipped, told) == Skipped(other_streams=2)


@pytest.mark.parametrize("rows", [[], [(A, 1, "one")]])
async def test_what_an_ingester_lost_is_told_over_the_wire(rows):
    """With units to read, and without."""
    ingester = FakeIngester()
    ingester.missing = ("block 7 is set aside",)
    if rows:
        await ingester.push("t", batch_of(rows))
    async with served(ingester) as (client, _):
        found = await client.select("t", scan_of())

    assert len(found.units) == len(rows)
    assert found.missing == ("block 7 is set aside",)


async def test_unit_larger_than_a_message_is_read_whole():
    """Rows come in pieces below the cap on messages."""
    ingester = FakeIngester()
    rows = [(A, n, f"{n:>100000}") for n in range(120)]
    await ingester.push("t", batch_of(rows))
    async with served(ingester, client={"remote_timeout": 10**10}) as (client, _):
        found = await client.select("t", scan_of())
        got = await asyncio.to_thread(read_all, found, Columns(), ReadStats())

    assert got == ingester.held("t")


async def test_lines_without_a_wanted_literal_are_not_sent():
    """Line filters are applied where the lines are."""
    ingester = FakeIngester()
    await ingester.push("t", batch_of([(A, 1, "a needle"), (A, 2, "hay")]))
    async with served(ingester) as (client, _):
        found = await client.select("t", scan_of(literals=("needle",)))
        stats = ReadStats()
        rows = await asyncio.to_thread(read_all, found, Columns(), stats)

    assert [line for _, _, line in rows] == ["a needle"]
    assert stats.head_rows == 2


async def test_columns_that_are_not_wanted_are_not_sent():
    ingester = FakeIngester()
    await ingester.push("t", batch_of([(A, 1, "a")], metadata={"m": ["1"]}))
    times = Columns(line=False, metadata=frozenset())
    async with served(ingester) as (client, _):
        found = await client.select("t", scan_of(columns=times))
        batch = await asyncio.to_thread(found.units[0].read, times, ReadStats())

    assert batch.line is None
    assert batch.metadata == {}


async def test_session_ends_when_nobody_holds_its_units():
    """Memory there is free as soon as a query here is over."""
    ingester = FakeIngester()
    await ingester.push("t", batch_of([(A, 1, "a")]))
    async with served(ingester) as (client, server):
        found = await client.select("t", scan_of())
        assert len(server.reads.sessions) == 1
        del found
        gc.collect()
        async with asyncio.timeout(5):
            while len(server.reads.sessions):  # noqa: ASYNC110  # nothing tells it
                await asyncio.sleep(0.001)


async def test_session_of_another_tenant_is_refused():
    """A session is read by the tenant who asked for it, whoever knows its name."""
    ingester = FakeIngester()
    await ingester.push("t", batch_of([(A, 1, "a")]))
    async with served(ingester) as (client, server):
        found = await client.select("t", scan_of())
        session = next(iter(server.reads.sessions._sessions))
        with pytest.raises(TenantInvalid):
            await client.session("other", session).read(0, Columns(), None)
        with pytest.raises(Unavailable):
            await client.session("t", "no such").read(0, Columns(), None)
        del found


async def test_tenant_that_can_be_none_is_refused():
    async with served(FakeIngester()) as (client, _):
        with pytest.raises(TenantInvalid):
            await client.push("../up", batch_of([(A, 1, "a")]))


async def test_message_of_another_version_is_refused_with_a_clear_text():
    """A newer peer learns why it is not understood."""
    async with served(FakeIngester()) as (_, server):
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        call = channel.unary_unary(names.method_of(names.PUSH))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"LP\x02\x00\x00\x00\x00\x00")
        await channel.close()

    assert refused.value.details() == "message has version 2; this program knows 1"
    error = error_of_call("i-1", refused.value)
    assert isinstance(error, Unavailable)
    assert str(error) == refused.value.details()
    assert UnknownVersion.__name__ in str(refused.value.trailing_metadata())


async def test_ingester_that_hangs_is_given_up_at_the_deadline():
    """A call ends within its deadline, whatever the other side does."""
    ingester = FakeIngester()
    ingester.hangs = True
    async with served(ingester, client={"remote_timeout": 50_000_000}) as (client, _):
        with pytest.raises(InstanceLost, match="no answer in time"):
            await client.push("t", batch_of([(A, 1, "a")]))


async def test_instance_that_is_not_there_is_lost_at_once():
    pool = IngesterPool(IngesterClientConfig(), clock=SystemClock())
    await pool.start()
    gone = InstanceDesc("i-9", "127.0.0.1:1", InstanceState.ACTIVE)
    with pytest.raises(InstanceLost, match="ingester i-9: not reached"):
        await pool.client_of(gone).series("t", (), start_ns=0, end_ns=1)
    await pool.stop()


async def test_of_too_many_clients_the_longest_unused_are_closed(monkeypatch):
    """What is called again meanwhile stays as it is."""
    monkeypatch.setattr(pool_module, "CLIENTS_MAX", 2)
    pool = IngesterPool(IngesterClientConfig(), clock=SystemClock())
    await pool.start()
    members = [
        InstanceDesc(f"i-{n}", f"127.0.0.1:{n}", InstanceState.ACTIVE)
        for n in (1, 2, 3)
    ]

    first, second = pool.client_of(members[0]), pool.client_of(members[1])
    assert pool.client_of(members[0]) is first
    pool.client_of(members[2])

    assert pool.client_of(members[0]) is first
    assert pool.client_of(members[1]) is not second
    await pool.stop()


async def test_reading_from_an_instance_that_went_away_says_which_one():
    """A query learns whom it lost, to ask again without it."""
    ingester = FakeIngester()
    await ingester.push("t", batch_of([(A, 1, "a")]))
    async with served(ingester) as (client, server):
        found = await client.select("t", scan_of())
        await server._server.stop(0)
        with pytest.raises(InstanceLost) as lost:
            await asyncio.to_thread(found.units[0].read, Columns(), ReadStats())

    assert lost.value.instance_id == "i-1"


async def test_series_and_flush_are_passed_on():
    ingester = FakeIngester()
    await ingester.push("t", batch_of([(A, 1, "a"), (B, 2, "b")]))
    async with served(ingester) as (client, _):
        found = await client.series("t", EVERY_APP, start_ns=0, end_ns=9)
        none = await client.series("nobody", EVERY_APP, start_ns=0, end_ns=9)
        await client.flush()

    assert list(found) == [LabelSet.of(A), LabelSet.of(B)]
    assert list(none) == []
    assert ingester.flushed == 1


async def test_health_is_told():
    async with served(FakeIngester()) as (_, server):
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        check = channel.unary_unary("/grpc.health.v1.Health/Check")

        assert await check(b"") == b"\x08\x01"
        await channel.close()


async def test_tail_is_followed_over_the_wire():
    """What comes there comes here, in order, with what was dropped."""
    ingester = FakeIngester()
    one, two = batch_of([(A, 1, "one")]), batch_of([(B, 2, "two"), (A, 3, "three")])
    async with served(ingester) as (client, _):
        tail = client.tail("t", EVERY_APP)
        await tail.begun()
        ingester.tails[0].bring(one, two)
        ingester.tails[0].bring(dropped=(one,), dropped_count=5)
        came = [await tail.arrivals() for _ in range(4)]
        tail.close()
        async with asyncio.timeout(5):
            while not ingester.tails[0].closed:  # noqa: ASYNC110  # nothing tells it
                await asyncio.sleep(0.001)

    assert ingester.tails[0].asked == ("t", EVERY_APP)
    assert [rows_of(b) for c in came[:2] for b in c.batches] == [
        rows_of(one),
        rows_of(two),
    ]
    assert came[2].dropped_count == 5
    assert rows_of(came[3].dropped[0]) == rows_of(one)


async def test_tail_of_an_instance_that_went_away_is_lost():
    ingester = FakeIngester()
    async with served(ingester) as (client, server):
        tail = client.tail("t", EVERY_APP)
        await tail.begun()
        await server._server.stop(0)
        with pytest.raises(InstanceLost):
            await tail.arrivals()


@pytest.fixture
def tls_files(tmp_path):
    """Return what makes TLS settings of both sides, with the names of tests."""
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    server_cert, server_key = ours.issue("server")
    server = GrpcServerTlsConfig(
        cert_file=str(server_cert),
        key_file=str(server_key),
        client_auth_type="RequireAndVerifyClientCert",
        client_ca_file=str(ours.file),
    )

    def client_of(authority):
        cert, key = authority.issue(f"client-of-{authority.name}")
        config = {
            "tls_enabled": True,
            "tls_ca_path": str(ours.file),
            "tls_cert_path": str(cert),
            "tls_key_path": str(key),
            "tls_server_name": "localhost",
        }
        return {"grpc_client_config": config}

    return server, client_of(ours), client_of(theirs)


async def test_peers_with_certificates_of_ours_are_served(tls_files):
    server_tls, known, _ = tls_files
    ingester = FakeIngester()
    async with served(ingester, client=known, tls=server_tls) as (client, _):
        await client.push("t", batch_of([(A, 1, "a")]))

    assert len(ingester.held("t")) == 1


@pytest.mark.parametrize("who", ["stranger", "nobody"])
async def test_peers_without_one_are_not(tls_files, who):
    """Mutual TLS: neither plain text nor a foreign certificate gets in."""
    server_tls, _, stranger = tls_files
    client = stranger if who == "stranger" else None
    ingester = FakeIngester()
    async with served(ingester, client=client, tls=server_tls) as (client_of, _):
        with pytest.raises(InstanceLost):
            await client_of.push("t", batch_of([(A, 1, "a")]))

    assert ingester.held("t") == []


@contextlib.asynccontextmanager
async def replaced(ingester):
    """Yield the former client of an instance, and what closes its channel."""
    async with served(ingester) as (_, server):
        pool = IngesterPool(IngesterClientConfig(), clock=SystemClock())
        address = f"127.0.0.1:{server.port}"
        client = pool.client_of(InstanceDesc("i-1", address, InstanceState.ACTIVE))
        yield client, pool.stop


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.push("t", batch_of([(A, 1, "a")])),
        lambda client: client.select("t", scan_of()),
        lambda client: client.series("t", (), start_ns=0, end_ns=1),
    ],
    ids=["push", "select", "series"],
)
async def test_client_of_a_process_that_was_replaced_is_a_lost_instance(ask):
    """Who still holds it asks others, and is not told of an internal error."""
    async with replaced(FakeIngester()) as (client, close):
        await close()

        with pytest.raises(InstanceLost, match="i-1"):
            await ask(client)


async def test_call_that_a_closed_connection_ends_is_a_lost_instance():
    """It is not taken for a task that somebody cancelled."""
    ingester = FakeIngester()
    ingester.hangs = True
    async with replaced(ingester) as (client, close):
        push = asyncio.create_task(client.push("t", batch_of([(A, 1, "a")])))
        await asyncio.wait([push], timeout=0.05)
        await close()

        with pytest.raises(InstanceLost, match="i-1"):
            await push
