"""One client for each instance of a ring, made when it is first called.

Owns the channels. An instance that started anew gets a new client, because the
former one may still wait before it connects again; clients of instances that
were not called for a while are closed.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from loki_py.config.grpc_schema import GrpcClientConfig, IngesterClientConfig
from loki_py.ring.desc import InstanceDesc
from loki_py.runtime.clock import Clock
from loki_py.transport.grpc_client import GrpcIngester, PushEncoder
from loki_py.transport.grpc_names import client_options
from loki_py.transport.pattern_source import ServedIngester
from loki_py.transport.transfer_target import TransferTarget
from loki_py.transport.transfers import TransferClient
from loki_py.wire.label_cache import LabelCache

CLIENTS_MAX = 1_000
"""Clients that are kept; of more, those that were called longest ago are closed."""

IDLE_NS_MAX = 600_000_000_000
"""How long a client is kept that nobody calls."""

CLOSE_S_MAX = 5.0
"""How long the calls of a client that is closed may go on."""

_NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class _Client:
    """Attributes: process: where the instance is, and when it started."""

    process: tuple[str, int]
    channel: Any
    ingester: GrpcIngester
    used_ns: int


class IngesterPool:
    """Clients by instance; a service. Used on one event loop.

    Args:
        local: the ingester of this process, called without gRPC, by its id.
        compares: whether selections of several are compared, as replicas are.
    """

    def __init__(
        self,
        config: IngesterClientConfig,
        *,
        clock: Clock,
        local: dict[str, ServedIngester] | None = None,
        compares: bool = True,
    ) -> None:
        self._config = config
        self._clock = clock
        self._local = local or {}
        self._compares = compares
        self._clients: dict[str, _Client] = {}
        self._encoder = PushEncoder()
        self._labels = LabelCache()
        self._credentials: Any = None
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Read the certificates.

        Raises: OSError.
        """
        if self._config.grpc.tls_enabled:
            self._credentials = await asyncio.to_thread(
                _credentials_of, self._config.grpc
            )

    async def stop(self) -> None:
        """Close every channel; calls at work end."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.channel.close()

    def client_of(self, instance: InstanceDesc) -> ServedIngester:
        """Return whom to call for an instance."""
        local = self._local.get(instance.instance_id)
        if local is not None:
            return local
        now_ns = self._clock.monotonic_ns()
        client = self._clients.get(instance.instance_id)
        process = (instance.address, instance.started_ns)
        if client is None or client.process != process:
            self._close_idle(instance.instance_id, now_ns)
            client = self._connected(instance, now_ns)
            self._clients[instance.instance_id] = client
        client.used_ns = now_ns
        return client.ingester

    def transfers_to(self, instance: InstanceDesc) -> TransferTarget:
        """Return whom to hand chunks to for an instance in another process."""
        assert instance.instance_id not in self._local
        self.client_of(instance)
        return TransferClient(
            instance.instance_id,
            self._clients[instance.instance_id].channel,
            call_s_max=self._config.call_ns_max / _NS_PER_S,
            message_bytes_max=self._config.grpc.message_bytes_max,
        )

    def _connected(self, instance: InstanceDesc, now_ns: int) -> _Client:
        grpc_config = self._config.grpc
        options = client_options(grpc_config.message_bytes_max)
        if grpc_config.tls_server_name:
            name = grpc_config.tls_server_name
            options.append(("grpc.ssl_target_name_override", name))
        address = instance.address
        channel = (
            grpc.aio.secure_channel(address, self._credentials, options=options)
            if grpc_config.tls_enabled
            else grpc.aio.insecure_channel(address, options=options)
        )
        ingester = GrpcIngester(
            instance.instance_id,
            channel,
            self._encoder,
            self._labels,
            call_ns_max=self._config.call_ns_max,
            message_bytes_max=grpc_config.message_bytes_max,
            compares=self._compares,
        )
        process = (address, instance.started_ns)
        return _Client(process, channel, ingester, now_ns)

    def _close_idle(self, replaced: str, now_ns: int) -> None:
        """Close the former client of an instance, and those nobody calls."""
        by_use = sorted(self._clients, key=lambda name: self._clients[name].used_ns)
        idle = [
            name
            for kept, name in enumerate(reversed(by_use), start=1)
            if name == replaced
            or kept >= CLIENTS_MAX
            or now_ns - self._clients[name].used_ns > IDLE_NS_MAX
        ]
        for name in idle:
            closing = self._clients.pop(name).channel.close(CLOSE_S_MAX)
            task = asyncio.ensure_future(closing)
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _credentials_of(config: GrpcClientConfig) -> Any:
    return grpc.ssl_channel_credentials(
        root_certificates=_bytes_at(config.tls_ca_path),
        private_key=_bytes_at(config.tls_key_path),
        certificate_chain=_bytes_at(config.tls_cert_path),
    )


def _bytes_at(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None
