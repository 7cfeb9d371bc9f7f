"""A gRPC channel to one of several etcd servers, with TLS and a user.

aetcd brings etcd's messages and stubs; its own client knows neither TLS nor
deadlines on watches, so the channel is ours.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
from aetcd import rpc

from loki_py.config.ring_schema import EtcdConfig
from loki_py.config.units import NS_PER_S
from loki_py.kv.abc import KvUnavailable

Answer = TypeVar("Answer")
Metadata = tuple[tuple[str, str], ...]

MESSAGE_BYTES_MAX = 64 << 20
# Pings find a server that is stopped or cut off, of whom TCP says nothing. etcd
# refuses pings that come more often than every 5 s. The least pause between two
# tries to connect is also how long one try may take, TLS and all.
_OPTIONS = (
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
)


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """Where etcd is, and how to talk to it.

    Attributes:
        endpoints: `host:port`, tried in turn.
        call_ns_max: the deadline of every call.
        tls_ca_path: "" trusts what the system trusts.
        tls_server_name: the name in the server's certificate where it is not
            the host's.
    """

    endpoints: tuple[str, ...]
    call_ns_max: int = 5 * NS_PER_S
    tls_enabled: bool = False
    tls_ca_path: str = ""
    tls_cert_path: str = ""
    tls_key_path: str = ""
    tls_server_name: str = ""
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, config: EtcdConfig) -> "EtcdSettings":
        """Return what the configuration says."""
        return cls(
            endpoints=config.endpoints,
            call_ns_max=config.call_ns_max,
            tls_enabled=config.tls_enabled,
            tls_ca_path=config.tls_ca_path,
            tls_cert_path=config.tls_cert_path,
            tls_key_path=config.tls_key_path,
            tls_server_name=config.tls_server_name,
            username=config.username,
            password=config.password.get_secret_value(),
        )


class EtcdChannel:
    """The stubs of the server in use; moves to the next one when it fails.

    One failed call moves on; the callers' own retries find the server that
    works. Owns one channel.
    """

    def __init__(self, settings: EtcdSettings) -> None:
        assert settings.endpoints
        self.settings = settings
        self.call_s_max = settings.call_ns_max / NS_PER_S
        self._next = 0
        self._channel: Any = None
        self._metadata: Metadata | None = None

    @property
    def endpoint(self) -> str:
        """The server in use."""
        return self.settings.endpoints[self._next]

    async def call(self, make: Callable[[Any, Metadata], Awaitable[Answer]]) -> Answer:
        """Return what `make(channel, metadata)` returns, signed in.

        Raises: KvUnavailable; grpc's error where etcd says NOT_FOUND.
        """
        for is_last in (False, True):
            try:
                return await make(*await self.connected())
            except grpc.aio.AioRpcError as error:
                if _is_signed_out(error) and not is_last:
                    self._metadata = None
                    continue
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    raise
                raise await self.judged(error) from error
            except asyncio.CancelledError:
                self.check_cut_off()
                raise
        raise AssertionError("unreachable")

    async def connected(self) -> tuple[Any, Metadata]:
        """Return the channel and what every call must carry.

        Raises: grpc's error where signing in fails.
        """
        if self._channel is None:
            self._channel = self._open()
        if self._metadata is None:
            self._metadata = await self._sign_in(self._channel)
        return self._channel, self._metadata

    async def judged(self, error: grpc.aio.AioRpcError) -> KvUnavailable:
        """Return the error to raise, having moved on to the next server."""
        endpoint = self.endpoint
        if len(self.settings.endpoints) > 1:
            self._next = (self._next + 1) % len(self.settings.endpoints)
            await self.close()
        return KvUnavailable(
            f"etcd at {endpoint}: {error.code().name}: {error.details()}"
        )

    def check_cut_off(self) -> None:
        """Tell a call that the channel's closing cancelled from a cancelled task.

        Raises: KvUnavailable where nobody cancelled the task.
        """
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            raise KvUnavailable(f"etcd at {self.endpoint}: the channel was closed")

    def sign_out(self) -> None:
        """Let the next call sign in anew."""
        self._metadata = None

    async def close(self) -> None:
        """Close the channel; the next call opens another one."""
        channel, self._channel, self._metadata = self._channel, None, None
        if channel is not None:
            await channel.close()

    def _open(self) -> Any:
        settings = self.settings
        options = list(_OPTIONS)
        if not settings.tls_enabled:
            return grpc.aio.insecure_channel(self.endpoint, options=options)
        if settings.tls_server_name:
            name = settings.tls_server_name
            options.append(("grpc.ssl_target_name_override", name))  # type: ignore[arg-type]
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_bytes_at(settings.tls_ca_path),
            private_key=_bytes_at(settings.tls_key_path),
            certificate_chain=_bytes_at(settings.tls_cert_path),
        )
        return grpc.aio.secure_channel(self.endpoint, credentials, options=options)

    async def _sign_in(self, channel: Any) -> Metadata:
        if not self.settings.username:
            return ()
        answer = await rpc.AuthStub(channel).Authenticate(
            rpc.AuthenticateRequest(
                name=self.settings.username, password=self.settings.password
            ),
            timeout=self.call_s_max,
        )
        return (("token", answer.token),)


def _is_signed_out(error: grpc.aio.AioRpcError) -> bool:
    """Whether the token ran out, or was of a server that is a new one now."""
    return error.code() is grpc.StatusCode.UNAUTHENTICATED or "invalid auth token" in (
        error.details() or ""
    )


def _bytes_at(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None
