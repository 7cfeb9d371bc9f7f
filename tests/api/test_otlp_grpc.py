"""OTLP over gRPC: what a caller is told, over a real connection."""

import asyncio
import contextlib
import gzip
import hashlib
import socket

import grpc
import pytest
from fakes.certificates import Authority
from fakes.pushes import Pushes
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from loki_py.api import otlp_grpc_server
from loki_py.api.access import Guard
from loki_py.api.bodies import BytesInFlight
from loki_py.api.context import ApiContext, Tenancy
from loki_py.api.otlp import OtlpAcceptor
from loki_py.api.otlp_grpc import ROUTE, OtlpCalls, OtlpGrpc, OtlpGrpcSettings
from loki_py.api.push import PushCaps
from loki_py.api.token_book import TokenBook
from loki_py.config.limits import StaticOverrides
from loki_py.config.security_schema import HttpTlsConfig, TokenConfig
from loki_py.errors import (
    DurabilityFailed,
    IngestionRateExceeded,
    LimitExceeded,
    NotReady,
    ValidationFailed,
)
from loki_py.runtime.certificates import ServerCertificates
from loki_py.runtime.clock import SystemClock
from loki_py.runtime.metrics import RequestMetrics, new_registry
from loki_py.wire.otlp import OtlpDecoder

MIB = 1 << 20
TENANT = ("x-scope-orgid", "t1")
S = 1_000_000_000


def request_of(*lines):
    records = [LogRecord(time_unix_nano=1, body={"string_value": x}) for x in lines]
    scopes = [ScopeLogs(log_records=records)]
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=scopes)])


def grpc_of(pushes, *, port=0, is_port_given=True, guard=None, certificates=None):
    context = ApiContext(
        Tenancy(enabled=True),
        SystemClock(),
        RequestMetrics(new_registry("0")),
        lambda: True,
        guard=guard,
    )
    caps = PushCaps(MIB, MIB, BytesInFlight(4 * MIB))
    acceptor = OtlpAcceptor(OtlpDecoder(), pushes, StaticOverrides(), context, caps)
    settings = OtlpGrpcSettings("127.0.0.1", port, is_port_given, MIB, 100)
    return OtlpGrpc(OtlpCalls(acceptor), settings, certificates)


@contextlib.asynccontextmanager
async def served(pushes, **options):
    """Yield the address of a listener."""
    service = grpc_of(pushes, **options)
    await service.start()
    await service.listening()
    try:
        yield f"127.0.0.1:{service.port}"
    finally:
        await service.stop()


async def export(address, message, *, metadata=(TENANT,), **options):
    """Return the code of a call, and its response or its status."""
    if isinstance(message, ExportLogsServiceRequest):
        message = message.SerializeToString()
    async with grpc.aio.insecure_channel(address, **options) as channel:
        try:
            answer = await channel.unary_unary(ROUTE)(message, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            details = dict(error.trailing_metadata() or ())
            status = details.get("grpc-status-details-bin", b"")
            return error.code().name, Status.FromString(status)
    return "OK", ExportLogsServiceResponse.FromString(answer)


def retry_ns_of(status):
    """Return when to try again, None where that is not said."""
    for detail in status.details:
        info = RetryInfo()
        assert detail.Unpack(info)
        return info.retry_delay.ToNanoseconds()
    return None


@pytest.mark.parametrize(
    "compression",
    [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate],
)
async def test_records_are_pushed_however_compressed(compression):
    pushes = Pushes()
    lines = ["one", "zwei ü", "x" * 5_000]
    async with served(pushes) as address:
        code, answer = await export(
            address, request_of(*lines), compression=compression
        )

    assert (code, answer) == ("OK", ExportLogsServiceResponse())
    assert pushes.taken == [("t1", lines, "otlp")]


async def test_request_without_records_is_answered_well():
    """As OpenTelemetry's specification wants it."""
    pushes = Pushes()
    async with served(pushes) as address:
        assert (await export(address, b""))[0] == "OK"

    assert pushes.taken == []


@pytest.mark.parametrize(
    ("error", "code", "retry_ns"),
    [
        (ValidationFailed("no"), "INVALID_ARGUMENT", None),
        (LimitExceeded("no"), "RESOURCE_EXHAUSTED", S),
        (
            IngestionRateExceeded("no", retry_after_ns=S + 5),
            "RESOURCE_EXHAUSTED",
            S + 5,
        ),
        (IngestionRateExceeded("no", retry_after_ns=None), "RESOURCE_EXHAUSTED", None),
        (DurabilityFailed("no"), "UNAVAILABLE", S),
    ],
)
async def test_failures_say_whether_to_try_again(error, code, retry_ns):
    async with served(Pushes(error)) as address:
        found, status = await export(address, request_of("a"))

    assert (found, status.message, retry_ns_of(status)) == (code, "no", retry_ns)
    assert grpc.StatusCode[code].value[0] == status.code


async def test_unforeseen_failure_is_ours_and_not_told():
    async with served(Pushes(ZeroDivisionError("secret"))) as address:
        code, status = await export(address, request_of("a"))

    assert code == "UNAVAILABLE"
    assert "secret" not in status.message


async def test_partial_success_says_how_many_were_refused():
    """Records of which some are stored are not sent again."""
    error = ValidationFailed("too old")
    error.entries_refused, error.entries_stored = 2, 1
    async with served(Pushes(error)) as address:
        code, answer = await export(address, request_of("a", "b", "c"))

    assert code == "OK"
    assert answer.partial_success.rejected_log_records == 2
    assert answer.partial_success.error_message == "too old"


async def test_long_text_is_cut_to_what_trailers_hold():
    async with served(Pushes(ValidationFailed("ü" * 100_000))) as address:
        code, status = await export(address, request_of("a"))

    assert code == "INVALID_ARGUMENT"
    assert len(status.message) == 1_024


async def test_broken_body_is_an_invalid_argument():
    async with served(Pushes()) as address:
        for message in (b"\x0a\x05", b"nonsense", gzip.compress(b"x" * 9)[:-3]):
            assert (await export(address, message))[0] == "INVALID_ARGUMENT"


async def test_message_beyond_the_cap_is_refused_before_and_after_decompression():
    """A small message that would become large costs no more than the cap."""
    bomb = b"\n" + bytes(8 * MIB)
    async with served(Pushes()) as address:
        packed = await export(address, bomb, compression=grpc.Compression.Gzip)
        plain = await export(address, bytes(MIB + 1))

    assert packed[0] == plain[0] == "RESOURCE_EXHAUSTED"
    assert retry_ns_of(packed[1]) is None


async def test_caller_that_sends_nothing_is_not_waited_for(monkeypatch):
    """It is told to come again; others are answered meanwhile."""
    monkeypatch.setattr(otlp_grpc_server, "READ_S_MAX", 0.05)
    async with served(Pushes()) as address, grpc.aio.insecure_channel(address) as idle:
        calls = [idle.stream_unary(ROUTE)(metadata=(TENANT,)) for _ in range(20)]
        assert (await export(address, request_of("a")))[0] == "OK"
        codes = {await call.code() for call in calls}

    assert codes == {grpc.StatusCode.UNAVAILABLE}


async def test_caller_that_ends_without_a_message_is_refused():
    async with served(Pushes()) as address, grpc.aio.insecure_channel(address) as idle:
        call = idle.stream_unary(ROUTE)(metadata=(TENANT,))
        await call.done_writing()

        assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_caller_without_tenant_is_unauthenticated():
    async with served(Pushes()) as address:
        code, status = await export(address, request_of("a"), metadata=())

    assert (code, status.message) == ("UNAUTHENTICATED", "no org id")


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), "UNAUTHENTICATED"),
        ((("authorization", "Bearer wrong"),), "UNAUTHENTICATED"),
        ((("authorization", "Bearer reader"),), "PERMISSION_DENIED"),
        (
            (("authorization", "Bearer writer"), ("x-scope-orgid", "t2")),
            "PERMISSION_DENIED",
        ),
        ((("authorization", "Bearer writer"),), "OK"),
    ],
)
async def test_tokens_are_asked_for_as_over_http(metadata, code):
    tokens = [
        TokenConfig(
            name=name,
            sha256=hashlib.sha256(name.encode()).hexdigest(),
            tenants=("t1",),
            scopes=(scope,),
        )
        for name, scope in (("reader", "read"), ("writer", "write"))
    ]
    guard = Guard(Tenancy(enabled=True), TokenBook(tokens))
    async with served(Pushes(), guard=guard) as address:
        assert (await export(address, request_of("a"), metadata=metadata))[0] == code


async def test_newest_certificate_is_shown(tmp_path):
    """Files are read again while running, as those of HTTP."""
    old, new = (Authority(tmp_path, name) for name in ("old", "new"))
    cert, key = map(str, old.issue("server"))
    certificates = ServerCertificates(HttpTlsConfig(cert_file=cert, key_file=key))

    async def answered_to(authority, address):
        trusted = grpc.ssl_channel_credentials(authority.file.read_bytes())
        name = (("grpc.ssl_target_name_override", "localhost"),)
        async with grpc.aio.secure_channel(address, trusted, name) as channel:
            call = channel.unary_unary(ROUTE)
            message = request_of("a").SerializeToString()
            try:
                return await call(message, metadata=(TENANT,)) == b""
            except grpc.aio.AioRpcError:
                return False

    async with served(Pushes(), certificates=certificates) as address:
        assert await answered_to(old, address)
        new.issue("server")
        certificates.load()
        assert not await answered_to(old, address)
        assert await answered_to(new, address)


async def test_mutual_tls_asks_callers_for_a_certificate(tmp_path):
    ours = Authority(tmp_path)
    cert, key = map(str, ours.issue("server"))
    config = HttpTlsConfig(
        cert_file=cert,
        key_file=key,
        client_auth_type="RequireAndVerifyClientCert",
        client_ca_file=str(ours.file),
    )
    client_cert, client_key = (file.read_bytes() for file in ours.issue("client"))
    root = ours.file.read_bytes()
    known = grpc.ssl_channel_credentials(root, client_key, client_cert)
    name = (("grpc.ssl_target_name_override", "localhost"),)
    message = request_of("a").SerializeToString()
    certificates = ServerCertificates(config)
    async with served(Pushes(), certificates=certificates) as address:
        async with grpc.aio.secure_channel(address, known, name) as channel:
            assert await channel.unary_unary(ROUTE)(message, metadata=(TENANT,)) == b""
        unknown = grpc.ssl_channel_credentials(root)
        async with grpc.aio.secure_channel(address, unknown, name) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(ROUTE)(message, metadata=(TENANT,))

    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_taken_port_ends_the_start_only_where_it_was_asked_for(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = grpc_of(Pushes(), port=port)
        with pytest.raises(NotReady, match=f"can not listen on 127.0.0.1:{port}"):
            await service.start()
        unasked = grpc_of(Pushes(), port=port, is_port_given=False)
        await unasked.start()
        await unasked.listening()

    assert unasked.reason_not_ready() is None
    await unasked.stop()
    assert "otlp.grpc_listen_port chooses another port" in capsys.readouterr().out


async def test_port_lost_after_the_look_makes_the_process_not_ready():
    service = grpc_of(Pushes())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        service._settings = OtlpGrpcSettings(
            "127.0.0.1", taken.getsockname()[1], is_port_given=True,
            message_bytes_max=MIB, calls_max=1,
        )  # fmt: skip
        await service._listen()

    assert "can not listen on" in service.reason_not_ready()
    await service.stop()


async def test_calls_at_work_end_before_the_listener_does():
    class Slow(Pushes):
        async def push(self, tenant, batch, *, push_format):
            began.set()
            await may_end.wait()
            await super().push(tenant, batch, push_format=push_format)

    began, may_end = asyncio.Event(), asyncio.Event()
    pushes = Slow()
    service = grpc_of(pushes)
    await service.start()
    await service.listening()
    call = asyncio.create_task(export(f"127.0.0.1:{service.port}", request_of("a")))
    await began.wait()
    stopping = asyncio.create_task(service.stop())
    await asyncio.sleep(0)
    may_end.set()

    assert (await call)[0] == "OK"
    await stopping
