"""Let other processes call an ingester: gRPC around an `IngesterClient`.

Owns a listening port, and what serves those who read. Start after the ingester,
stop before it: `stop` lets calls at work end for a while. What was accepted by a
push is on disk when it is answered.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import msgspec

from loki_py.config.grpc_schema import GrpcServerTlsConfig
from loki_py.errors import (
    CorruptData,
    LokiError,
    NotReady,
    Overloaded,
    ReceiverLocked,
    RequestRejected,
)
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.transport import grpc_names as names
from loki_py.transport.abc import PushAnswer
from loki_py.transport.errors_on_wire import rejection_of
from loki_py.transport.grpc_reads import ReadCalls
from loki_py.transport.pattern_source import ServedIngester
from loki_py.transport.read_unit import LeafRunner
from loki_py.transport.remote_tail import NO_ARRIVALS, encode_arrivals
from loki_py.transport.sessions import Distinct
from loki_py.transport.tenants import check_tenant
from loki_py.transport.transfer_target import TransferTarget
from loki_py.transport.transfers import answer_transfer
from loki_py.wire import messages as wire
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.messages import decode_message, encode_message
from loki_py.wire.messages_batch import decode_batch, decode_labels, encode_labels
from loki_py.wire.messages_patterns import (
    PatternsAnswered,
    PatternsAsked,
    encode_rows,
)
from loki_py.wire.messages_select import matchers_of

PUSHES_BYTES_MAX = 512 << 20
"""Bytes of pushes that are at work, at once; beyond, they are refused."""

Call: TypeAlias = Any
_HEALTHY = b"\x08\x01"
_UNHEALTHY = b"\x08\x02"
_ENCODER = msgspec.json.Encoder()
_log = logger_of("grpc")


@dataclass(frozen=True, slots=True)
class GrpcServerSettings:
    """Where to listen, and the bounds of calls."""

    address: str
    port: int
    message_bytes_max: int
    calls_max: int
    tls: GrpcServerTlsConfig
    grace_s: float = 5.0


class GrpcServer:
    """The gRPC side of one ingester.

    Args:
        reason_not_ready: why the process does not serve, None where it does;
            what the health service tells.
        distinct: from units to as many that hold no entry twice.
        leaves: evaluates leaves for those who ask; closed by `stop`.
        transfers: takes chunks over from who leaves; None: they are refused.
    """

    def __init__(
        self,
        ingester: ServedIngester,
        settings: GrpcServerSettings,
        *,
        clock: Clock,
        reason_not_ready: Callable[[], str | None],
        distinct: Distinct,
        leaves: LeafRunner,
        transfers: TransferTarget | None = None,
    ) -> None:
        self.port = settings.port
        self.reads = ReadCalls(ingester, clock=clock, distinct=distinct, leaves=leaves)
        self._ingester = ingester
        self._settings = settings
        self._reason_not_ready = reason_not_ready
        self._transfers = transfers
        self._labels = LabelCache()
        self._server: Any = None
        self._pushes_bytes = 0

    async def start(self) -> None:
        """Listen.

        Raises: NotReady where the port is taken.
        """
        settings = self._settings
        self.reads.start()
        server = grpc.aio.server(
            options=names.server_options(settings.message_bytes_max),
            maximum_concurrent_rpcs=settings.calls_max,
        )
        server.add_generic_rpc_handlers(self._handlers())
        where = names.host_port(settings.address, settings.port)
        try:
            if settings.tls.cert_file:
                credentials = await asyncio.to_thread(_credentials_of, settings.tls)
                self.port = server.add_secure_port(where, credentials)
            else:
                self.port = server.add_insecure_port(where)
        except RuntimeError as error:
            raise NotReady(f"gRPC can not listen on {where}: {error}") from None
        await server.start()
        self._server = server
        _log.info("gRPC listening", address=settings.address, port=self.port)

    async def stop(self) -> None:
        """Take no new calls, wait for those at work, and close."""
        await self._server.stop(self._settings.grace_s)
        await self.reads.stop()

    async def push(self, data: bytes, _call: Call) -> bytes:
        """Store a batch."""
        if self._pushes_bytes + len(data) > PUSHES_BYTES_MAX:
            raise Overloaded(
                f"{self._pushes_bytes} bytes of pushes are at work, and {len(data)} "
                f"more came; limit is {PUSHES_BYTES_MAX}"
            )
        self._pushes_bytes += len(data)
        try:
            asked, payload = decode_message(data, wire.PushAsked)
            check_tenant(asked.tenant)
            streams = decode_labels(payload[asked.batch_bytes :], self._labels)
            batch = decode_batch(payload[: asked.batch_bytes], asked.batch, streams)
            answer = await self._ingester.push(asked.tenant, batch)
        finally:
            self._pushes_bytes -= len(data)
        return encode_message(_push_answered(answer))

    async def transfer(self, data: bytes, _call: Call) -> bytes:
        """Take chunks over from an ingester that leaves."""
        if self._transfers is None:
            raise ReceiverLocked("nothing is taken over here")
        return await answer_transfer(self._transfers, data, self._labels)

    async def series(self, data: bytes, _call: Call) -> bytes:
        """Tell the label sets that match."""
        asked, _ = decode_message(data, wire.SeriesAsked)
        check_tenant(asked.tenant)
        found = await self._ingester.series(
            asked.tenant,
            matchers_of(asked.matchers),
            start_ns=asked.start_ns,
            end_ns=asked.end_ns,
        )
        return encode_message(wire.SeriesAnswered(len(found)), [encode_labels(found)])

    async def patterns(self, data: bytes, _call: Call) -> bytes:
        """Tell the patterns that are counted here and not stored yet."""
        asked, _ = decode_message(data, PatternsAsked)
        check_tenant(asked.tenant)
        held = await self._ingester.patterns(
            asked.tenant,
            matchers_of(asked.matchers),
            start_ns=asked.start_ns,
            end_ns=asked.end_ns,
        )
        told = PatternsAnswered(held.writer, list(held.covered))
        return encode_message(told, [await asyncio.to_thread(encode_rows, held.rows)])

    async def tail(self, data: bytes, _call: Call) -> AsyncIterator[bytes]:
        """Send what comes from now on, until the caller has enough."""
        asked, _ = decode_message(data, wire.TailAsked)
        check_tenant(asked.tenant)
        following = self._ingester.tail(asked.tenant, matchers_of(asked.matchers))
        try:
            await following.begun()
            yield NO_ARRIVALS
            while True:
                for message in encode_arrivals(await following.arrivals()):
                    yield message
        finally:
            following.close()

    async def flush(self, data: bytes, _call: Call) -> bytes:
        """Write everything held to object storage."""
        decode_message(data, wire.FlushAsked)
        await self._ingester.flush()
        return encode_message(wire.Done())

    async def health(self, _data: bytes, _call: Call) -> bytes:
        """Answer as `grpc.health.v1.Health/Check`: serving or not."""
        return _UNHEALTHY if self._reason_not_ready() else _HEALTHY

    def _handlers(self) -> tuple[Any, ...]:
        unary = {
            names.PUSH: self.push,
            names.SELECT: self.reads.select,
            names.DIGESTS: self.reads.digests,
            names.RELEASE: self.reads.release,
            names.SERIES: self.series,
            names.PATTERNS: self.patterns,
            names.FLUSH: self.flush,
            names.TRANSFER: self.transfer,
        }
        table = {
            name: grpc.unary_unary_rpc_method_handler(_answering(method))
            for name, method in unary.items()
        }
        streams = {
            names.READ: self.reads.read,
            names.MAP: self.reads.map,
            names.TAIL: self.tail,
        }
        table |= {
            name: grpc.unary_stream_rpc_method_handler(_streaming(method))
            for name, method in streams.items()
        }
        health = {"Check": grpc.unary_unary_rpc_method_handler(self.health)}
        return (
            grpc.method_handlers_generic_handler(names.SERVICE, table),
            grpc.method_handlers_generic_handler(names.HEALTH_SERVICE, health),
        )


def _answering(
    method: Callable[[bytes, Call], Awaitable[bytes]],
) -> Callable[[bytes, Call], Awaitable[bytes]]:
    """Return the method with its errors told to the caller."""

    @wraps(method)
    async def answered(data: bytes, call: Call) -> bytes:
        try:
            return await method(data, call)
        except Exception as error:  # every failure has an answer
            await _tell(error, call)
            raise

    return answered


def _streaming(
    method: Callable[[bytes, Call], AsyncIterator[bytes]],
) -> Callable[[bytes, Call], AsyncIterator[bytes]]:
    """Return the method with its errors told to the caller."""

    @wraps(method)
    async def answered(data: bytes, call: Call) -> AsyncIterator[bytes]:
        try:
            async for message in method(data, call):
                yield message
        except Exception as error:  # every failure has an answer
            await _tell(error, call)
            raise

    return answered


async def _tell(error: Exception, call: Call) -> None:
    """End the call with what the caller may know of an error."""
    if not isinstance(error, LokiError):
        _log.exception("call failed")
    told = rejection_of(error)
    is_theirs = isinstance(error, RequestRejected | CorruptData)
    code = grpc.StatusCode.INVALID_ARGUMENT if is_theirs else grpc.StatusCode.ABORTED
    trailers = ((names.ERROR_KEY, _ENCODER.encode(told)),)
    await call.abort(code, told.text, trailers)


def _push_answered(answer: PushAnswer) -> wire.PushAnswered:
    return wire.PushAnswered(
        [rejection_of(error, stream=n) for n, error in answer.rejected.items()],
        [
            wire.Discarded(d.reason, d.entries_count, d.bytes, d.stream)
            for d in answer.discards
        ],
    )


def _credentials_of(tls: GrpcServerTlsConfig) -> Any:
    pair = (Path(tls.key_file).read_bytes(), Path(tls.cert_file).read_bytes())
    roots = Path(tls.client_ca_file).read_bytes() if tls.client_ca_file else None
    return grpc.ssl_server_credentials(
        [pair], root_certificates=roots, require_client_auth=tls.is_mutual
    )
