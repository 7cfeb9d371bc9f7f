"""The gRPC server behind `otlp_grpc`; the only module of the API with gRPC in it.

gRPC's own decompression knows no bound on what comes out of a message, so it is
switched off: messages arrive as they were sent, and are decompressed under the
caps of every push. A caller is known before its message is read, and only so
many are being read at once.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc

from loki_py.api.otlp_grpc import OK, SERVICE, OtlpCalls
from loki_py.errors import ClientGone, NotReady, Overloaded, ValidationFailed
from loki_py.runtime.certificates import ServerCertificates

READS_MAX = 32
"""Messages that are being read at once; others wait."""

READ_S_MAX = 10.0
"""How long a message may take to come, its wait included."""

GRACE_S = 5.0
STATUS_KEY = "grpc-status-details-bin"
PING_MS_MIN = 5_000
FRAME_BYTES_MAX = 1 << 20

Call: TypeAlias = Any
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class GrpcListener:
    """Serves OTLP calls on one port.

    Args:
        certificates: None for plain text; else of every handshake, the newest.
    """

    def __init__(
        self,
        calls: OtlpCalls,
        *,
        certificates: ServerCertificates | None,
        message_bytes_max: int,
        calls_max: int,
    ) -> None:
        self._calls = calls
        self._certificates = certificates
        self._reads = asyncio.Semaphore(READS_MAX)
        self._server: Any = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", message_bytes_max),
                ("grpc.per_message_decompression", 0),
                ("grpc.so_reuseport", 0),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_MS_MIN),
                ("grpc.http2.max_frame_size", FRAME_BYTES_MAX),
            ],
            maximum_concurrent_rpcs=calls_max,
        )
        method = grpc.stream_unary_rpc_method_handler(self._export)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Export": method}),)
        )

    async def start(self, address: str, port: int) -> int:
        """Listen, and return the port.

        Raises: NotReady where the port is taken.
        """
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        try:
            if self._certificates is None:
                bound = self._server.add_insecure_port(where)
            else:
                credentials = _credentials_of(self._certificates)
                bound = self._server.add_secure_port(where, credentials)
        except RuntimeError as error:
            raise NotReady(str(error)) from None
        await self._server.start()
        return int(bound)

    async def stop(self) -> None:
        """Take no new calls, let those at work end, and close."""
        await self._server.stop(GRACE_S)

    async def _export(self, _messages: AsyncIterator[bytes], call: Call) -> bytes:
        async def read() -> bytes:
            return await self._read(call)

        answer = await self._calls.export(call.invocation_metadata() or (), read)
        if answer.code != OK and not call.done():
            details = ((STATUS_KEY, answer.message),)
            await call.abort(_CODES[answer.code], answer.text, details)
        return answer.message

    async def _read(self, call: Call) -> bytes:
        """Return the message of a call.

        Raises: ValidationFailed where there is none, Overloaded where it does
        not come in time, ClientGone.
        """
        try:
            async with asyncio.timeout(READ_S_MAX), self._reads:
                message = await call.read()
        except TimeoutError:
            raise Overloaded(f"no message came in {READ_S_MAX} s") from None
        if message is not grpc.aio.EOF:
            return bytes(message)
        if call.done():
            raise ClientGone("the call ended before its message came")
        raise ValidationFailed("a call without a message")


def _credentials_of(certificates: ServerCertificates) -> Any:
    """Return what asks for the newest certificates at each handshake."""

    def configured() -> Any:
        cert, key, authority = certificates.files
        return grpc.ssl_server_certificate_configuration(
            [(key, cert)], root_certificates=authority
        )

    return grpc.dynamic_ssl_server_credentials(
        configured(), configured, certificates.is_mutual
    )
