"""OTLP logs over gRPC: what comes of a call, and the listener's life.

Answers are OpenTelemetry's, as there is no Loki to agree with: records that
broke a rule beside others that did not are a partial success, which nobody
sends again; what may be sent again says when, in a RetryInfo.

gRPC itself is imported once everything else runs, so that a start does not wait
for it.
"""

import asyncio
import contextlib
import importlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard

from loki_py.api.bodies import Holding
from loki_py.api.errors import RETRY_AFTER_S, Failure, failure_of
from loki_py.api.otlp import OtlpAcceptor
from loki_py.api.push import PushedBody
from loki_py.api.push_answers import note_failure
from loki_py.config.units import NS_PER_S
from loki_py.errors import (
    IngestionRateExceeded,
    NotReady,
    RequestRejected,
)
from loki_py.runtime.certificates import ServerCertificates
from loki_py.runtime.logs import Throttle, logger_of
from loki_py.wire.otlp import PROTO_TYPE
from loki_py.wire.otlp_answers import encode_export_response, encode_status

SERVICE = "opentelemetry.proto.collector.logs.v1.LogsService"
ROUTE = f"/{SERVICE}/Export"
METHOD = "gRPC"
NO_RECORDS_STATUS = 422
TEXT_CHARS_MAX = 1_024
"""Longer texts are cut: they travel in trailers, which clients bound."""

_GZIP_MAGIC, _ZLIB_MAGIC = b"\x1f\x8b", b"\x78"

# Numbers of gRPC's own.
OK, INVALID_ARGUMENT, PERMISSION_DENIED, RESOURCE_EXHAUSTED = 0, 3, 7, 8
UNAVAILABLE, UNAUTHENTICATED = 14, 16
_CODES = {
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    413: RESOURCE_EXHAUSTED,
    429: RESOURCE_EXHAUSTED,
}

_log = logger_of("otlp")


@dataclass(frozen=True, slots=True)
class ExportAnswer:
    """How a call ends.

    Attributes:
        code: of gRPC.
        message: an ExportLogsServiceResponse; where the code is not OK, a
            google.rpc.Status.
        text: what a caller is told.
    """

    code: int
    message: bytes
    text: str = ""


class ReadMessage(Protocol):
    """Waits for the request of a call."""

    async def __call__(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class OtlpCalls:
    """Answers calls, whatever carries them."""

    acceptor: OtlpAcceptor
    throttle: Throttle = field(default_factory=Throttle)

    async def export(
        self, metadata: Sequence[tuple[str, str | bytes]], read: ReadMessage
    ) -> ExportAnswer:
        """Return the answer to one call; who calls is asked before it is read."""
        context = self.acceptor.context
        started_ns = context.clock.monotonic_ns()
        status = 200
        try:
            with context.metrics.in_flight(METHOD, ROUTE):
                answer = await self._accept(metadata, read)
        except Exception as error:  # noqa: BLE001  # every failure has an answer
            failure = failure_of(error)
            answer = answer_of(failure, error)
            if answer.code != OK:
                status = failure.status
            note_failure(
                failure,
                error,
                context,
                event="export failed",
                throttle=self.throttle,
            )
        context.metrics.observe(
            method=METHOD,
            route=ROUTE,
            status=status,
            duration_ns=context.clock.monotonic_ns() - started_ns,
        )
        return answer

    async def _accept(
        self, metadata: Sequence[tuple[str, str | bytes]], read: ReadMessage
    ) -> ExportAnswer:
        context = self.acceptor.context
        context.check_running()
        headers = {
            name.encode(): value.encode()
            for name, value in metadata
            if isinstance(value, str)
        }
        tenant = context.tenant_of_push(headers)

        async def read_pushed(holding: Holding) -> PushedBody:
            message = await read()
            holding.add(len(message))
            return PushedBody(message, PROTO_TYPE, encoding_of(message))

        await self.acceptor.take(tenant, read_pushed)
        return ExportAnswer(OK, b"")


def encoding_of(message: bytes) -> str:
    """Return how a message is compressed, as `Content-Encoding` names it.

    A request begins with its field 1, so neither beginning can be one.
    """
    if message.startswith(_GZIP_MAGIC):
        return "gzip"
    return "deflate" if message.startswith(_ZLIB_MAGIC) else ""


def answer_of(failure: Failure, error: Exception) -> ExportAnswer:
    """Return the answer to a call that raised `error`."""
    if failure.status == NO_RECORDS_STATUS:
        return ExportAnswer(OK, b"")
    if _is_partial(error):
        message = encode_export_response(
            rejected_count=error.entries_refused, text=failure.text
        )
        return ExportAnswer(OK, message)
    code = UNAVAILABLE if failure.status >= 500 else INVALID_ARGUMENT
    code = _CODES.get(failure.status, code)
    text = failure.text
    if len(text) > TEXT_CHARS_MAX:
        text = text[: TEXT_CHARS_MAX - 1] + "…"
    retry_ns = _retry_after_ns(failure, error)
    return ExportAnswer(
        code, encode_status(text, code=code, retry_after_ns=retry_ns), text
    )


def _is_partial(error: Exception) -> TypeGuard[RequestRejected]:
    """Return whether the rest is stored, and the refused will never be."""
    return (
        isinstance(error, RequestRejected)
        and error.status == 400
        and error.entries_refused > 0
        and error.entries_stored > 0
    )


def _retry_after_ns(failure: Failure, error: Exception) -> int | None:
    """Return when to try again, None where it would not help."""
    if isinstance(error, IngestionRateExceeded):
        return error.retry_after_ns
    if failure.status == 429 or failure.status >= 500:
        return RETRY_AFTER_S * NS_PER_S
    return None


class Listener(Protocol):
    """Serves calls on a port."""

    async def start(self, address: str, port: int) -> int:
        """Listen, and return the port.

        Raises: NotReady where the port is taken.
        """
        ...

    async def stop(self) -> None:
        """Take no new calls, let those at work end, and close."""
        ...


@dataclass(frozen=True, slots=True)
class OtlpGrpcSettings:
    """Where to listen, and the bounds of calls.

    Attributes:
        is_port_given: whether a taken port ends the start.
        message_bytes_max: a message as it came.
        calls_max: calls at once; beyond, they are refused.
    """

    address: str
    port: int
    is_port_given: bool
    message_bytes_max: int
    calls_max: int


class OtlpGrpc:
    """The listener for OTLP over gRPC; a service, to be started last.

    `start` returns once the port is known to be free; calls are taken a moment
    later.

    Attributes:
        port: that of the settings, or the one that was free.
    """

    def __init__(
        self,
        calls: OtlpCalls,
        settings: OtlpGrpcSettings,
        certificates: ServerCertificates | None,
    ) -> None:
        self._calls = calls
        self._settings = settings
        self._certificates = certificates
        self.port = settings.port
        self._listener: Listener | None = None
        self._starting: asyncio.Task[None] | None = None
        self._trouble = ""

    def reason_not_ready(self) -> str | None:
        """Return why a port that was asked for is not served, None where it is."""
        return self._trouble or None

    async def start(self) -> None:
        """Begin to listen.

        Raises: NotReady where a port that the settings name is taken.
        """
        settings = self._settings
        try:
            _check_free(settings.address, settings.port)
        except OSError as error:
            self._give_up(error.strerror or str(error))
            if settings.is_port_given:
                raise NotReady(self._trouble) from None
            self._trouble = ""
            return
        self._starting = asyncio.create_task(self._listen(), name="otlp-grpc")

    async def stop(self) -> None:
        """Let calls at work end, and close."""
        if self._starting is not None:
            await self._starting
        if self._listener is not None:
            await self._listener.stop()

    async def listening(self) -> None:
        """Return when calls are taken, or when they never will be."""
        if self._starting is not None:
            await asyncio.shield(self._starting)

    async def _listen(self) -> None:
        settings = self._settings
        module: Any = await asyncio.to_thread(
            importlib.import_module, "loki_py.api.otlp_grpc_server"
        )
        listener: Listener = module.GrpcListener(
            self._calls,
            certificates=self._certificates,
            message_bytes_max=settings.message_bytes_max,
            calls_max=settings.calls_max,
        )
        try:
            self.port = await listener.start(settings.address, settings.port)
        except NotReady as error:
            self._give_up(str(error))
            return
        self._listener = listener
        address = settings.address
        _log.info("listening for OTLP over gRPC", address=address, port=self.port)

    def _give_up(self, why: str) -> None:
        settings = self._settings
        self._trouble = (
            f"OTLP over gRPC can not listen on {settings.address}:{settings.port}: "
            f"{why}; otlp.grpc_listen_port chooses another port, 0 none"
        )
        tell = _log.error if settings.is_port_given else _log.warning
        tell(self._trouble)


def _check_free(address: str, port: int) -> None:
    """Bind the port for a moment.

    Raises: OSError where it is taken, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
        probe.listen(1)
