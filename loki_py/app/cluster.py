"""Wire what makes a process a member of a cluster: store of keys, rings, gRPC."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from loki_py.api.ring_routes import RingView
from loki_py.app.member_settings import INDEX_MARGIN_NS, address_of
from loki_py.app.membership import DistributorMembership, IngesterMembership
from loki_py.app.ring_views import DistributorRingView, IngesterRingView
from loki_py.app.targets import Role
from loki_py.config.schema import Config
from loki_py.config.units import NS_PER_S
from loki_py.distributor.next_owners import NextOwners
from loki_py.distributor.rate_limits import RateLimiter
from loki_py.distributor.replicated import ReplicatedSink, ReplicationMetrics
from loki_py.ingester.receiving import ChunkReceiver
from loki_py.ingester.service import Ingester
from loki_py.kv.abc import KvStore
from loki_py.querier.merge import distinct_units
from loki_py.querier.replicated import ReplicatedSource
from loki_py.querier.replicated_feed import ReplicatedFeed
from loki_py.querier.served_leaves import ServedLeaves
from loki_py.querier.store_reader import INDEX_REFRESH_NS
from loki_py.ring.holders import DataRing
from loki_py.ring.lifecycler import Lifecycler
from loki_py.ring.settings import OwnInstance, RingSettings
from loki_py.ring.watcher import RingWatcher
from loki_py.runtime.clock import Clock
from loki_py.runtime.lifecycle import ReadinessCheck, Service
from loki_py.transport.pattern_source import ServedIngester
from loki_py.transport.transfer_metrics import CountedTarget, TransferMetrics

if TYPE_CHECKING:
    from loki_py.transport.pool import IngesterPool


@dataclass(frozen=True, slots=True)
class KvClosing:
    """Closes the store of keys at the end; it needs no start."""

    kv: KvStore

    async def start(self) -> None:
        """Do nothing: the first call connects."""

    async def stop(self) -> None:
        """Close connections."""
        await self.kv.close()


class Cluster:
    """The members of a cluster, as one process constructs its part of them.

    Attributes:
        sink: all ingesters, for pushes.
        source: all ingesters, for queries.
        feed: all ingesters, for tails.
        rings: by name, for their pages.
        membership: of our ingester, None where there is none.
    """

    def __init__(
        self,
        config: Config,
        instance_id: str,
        clock: Clock,
        registry: CollectorRegistry,
        ingester: Ingester | None,
        served: ServedIngester | None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._own = OwnInstance(
            instance_id, address_of(config), zone=config.common.ring.zone
        )
        self._kv = _kv_of(config)
        self._ring = DataRing(self._kv, self._settings("ingester"), clock=clock)
        factor = config.common.replication_factor
        local = {} if served is None else {instance_id: served}
        self._pool = _pool_of(config, clock, local)
        self.sink = ReplicatedSink(
            self._ring,
            self._pool.client_of,
            ReplicationMetrics(registry),
            replication_factor=factor,
            inflight_bytes_max=config.ingester_client.inflight_bytes_max,
        )
        self.source = ReplicatedSource(
            self._ring,
            self._pool.client_of,
            clock,
            replication_factor=factor,
            zone_aware=config.common.ring.zone_awareness_enabled,
        )
        self.feed = ReplicatedFeed(
            self._ring,
            self._pool.client_of,
            replication_factor=factor,
            zone_aware=config.common.ring.zone_awareness_enabled,
        )
        self._transfers = TransferMetrics(registry)
        self.membership = None if ingester is None else self._member(ingester)
        self._ingester = ingester
        self._served = served
        self._distributors = RingWatcher(
            self._kv, self._settings("distributor"), clock=clock
        )

    @property
    def rings(self) -> Mapping[str, RingView]:
        """The rings, for their pages."""
        return {
            "ingester": IngesterRingView(self._ring),
            "distributor": DistributorRingView(self._distributors, self._kv),
        }

    @property
    def checks(self) -> list[ReadinessCheck]:
        """Why this process may not be ready."""
        checks: list[ReadinessCheck] = [self._ring.reason_not_ready]
        if self.membership is not None:
            checks.append(self.membership.reason_not_ready)
        return checks

    def services_before(self) -> dict[str, Service]:
        """Return what starts before the ingester."""
        services: dict[str, Service] = {
            "kv": KvClosing(self._kv),
            "ring": self._ring,
            "ingester-clients": self._pool,
        }
        if self.membership is not None:
            services["ring-lifecycler"] = self.membership.lifecycler
        return services

    def services_after(
        self, roles: frozenset[Role], limiter: RateLimiter | None
    ) -> dict[str, Service]:
        """Return what starts after the ingester."""
        services: dict[str, Service] = {}
        if self.membership is not None:
            assert self._ingester is not None
            assert self._served is not None
            services["grpc"] = self._grpc_of(self._ingester, self._served)
            services["ring-membership"] = self.membership
        if Role.DISTRIBUTOR in roles and limiter is not None:
            services["replication"] = self.sink
            own = replace(self._own, tokens_count=0)
            lifecycler = Lifecycler(
                self._kv, self._settings("distributor"), own, clock=self._clock
            )
            services["distributor-ring"] = DistributorMembership(
                lifecycler, self._distributors, limiter
            )
        else:
            services["distributor-ring"] = self._distributors
        return services

    def _member(self, ingester: Ingester) -> IngesterMembership:
        lifecycler = Lifecycler(
            self._kv,
            self._settings("ingester"),
            self._own,
            clock=self._clock,
            tokens_path=Path(self._config.common.path_prefix) / "tokens",
        )
        index_ns = INDEX_REFRESH_NS + INDEX_MARGIN_NS
        return IngesterMembership(
            self._ring,
            lifecycler,
            ingester,
            index_s=index_ns / NS_PER_S,
            successors=self._successors(lifecycler),
        )

    def _successors(self, leaving: Lifecycler) -> NextOwners | None:
        size_bytes = self._config.ingester.handover_bytes_max
        if not size_bytes:
            return None
        return NextOwners(
            self._ring,
            lambda i: CountedTarget(self._pool.transfers_to(i), self._transfers.sent),
            leaving=lambda: leaving.desc,
            chunk_bytes_max=size_bytes,
        )

    def _settings(self, name: str) -> RingSettings:
        return RingSettings.of(
            self._config.common.ring,
            name=name,
            replication_factor=self._config.common.replication_factor,
        )

    def _grpc_of(self, ingester: Ingester, served: ServedIngester) -> Service:
        from loki_py.transport.grpc_server import (  # noqa: PLC0415  # see _kv_of
            GrpcServer,
            GrpcServerSettings,
        )

        server = self._config.server
        settings = GrpcServerSettings(
            server.grpc_listen_address,
            server.grpc_listen_port,
            server.grpc_message_bytes_max,
            server.grpc_calls_max,
            server.grpc_tls_config,
        )
        return GrpcServer(
            served,
            settings,
            clock=self._clock,
            reason_not_ready=ingester.reason_not_ready,
            distinct=distinct_units,
            transfers=CountedTarget(
                ChunkReceiver(ingester, self._ring, self._own.instance_id),
                self._transfers.received,
            ),
            leaves=ServedLeaves(),
        )


def terminate() -> None:
    """End this process as SIGTERM does."""
    os.kill(os.getpid(), signal.SIGTERM)


def _pool_of(
    config: Config, clock: Clock, local: dict[str, ServedIngester]
) -> "IngesterPool":
    from loki_py.transport.pool import IngesterPool  # noqa: PLC0415  # see _kv_of

    return IngesterPool(
        config.ingester_client,
        clock=clock,
        local=local,
        compares=config.common.replication_factor > 1,
    )


def _kv_of(config: Config) -> KvStore:
    # Only a cluster needs gRPC, and a start without it is shorter.
    from loki_py.kv.etcd import EtcdKv  # noqa: PLC0415
    from loki_py.kv.etcd_channel import EtcdSettings  # noqa: PLC0415

    return EtcdKv(EtcdSettings.of(config.common.ring.kvstore.etcd))
