"""What counts patterns in this process, and what answers with them."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

from loki_py.api.patterns import PatternRoutes
from loki_py.app.cluster import Cluster
from loki_py.config.schema import Config
from loki_py.patterns.querier import OneInstance, PatternQuerier
from loki_py.patterns.service import PatternService
from loki_py.patterns.store import PatternStore
from loki_py.patterns.unstored import UnstoredCounts
from loki_py.runtime.clock import Clock
from loki_py.storage.abc import ObjectStore
from loki_py.storage.filesystem import FilesystemStore
from loki_py.transport.pattern_source import PatternSource, PatternSources


@dataclass(frozen=True, slots=True)
class PatternParts:
    """Both, as one service.

    Attributes:
        service: None where no lines are stored.
        disk: what is counted and not stored; None where nothing is counted.
    """

    store: PatternStore
    service: PatternService | None = None
    disk: FilesystemStore | None = None

    async def start(self) -> None:
        """Begin to store what is counted."""
        if self.service is not None and self.disk is not None:
            await asyncio.to_thread(self.disk.start)
            await self.service.start()

    async def stop(self) -> None:
        """Store what is counted, and end."""
        if self.service is not None:
            await self.service.stop()
        self.store.close()


def pattern_parts_of(
    config: Config,
    clock: Clock,
    store: ObjectStore,
    instance_id: str,
    registry: CollectorRegistry,
    *,
    has_ingester: bool,
) -> PatternParts | None:
    """Return what the settings ask for, None where they do not."""
    if not config.pattern_ingester.enabled:
        return None
    files = PatternStore(store)
    if not has_ingester:
        return PatternParts(files)
    disk = FilesystemStore(Path(config.common.path_prefix) / "patterns")
    unstored = UnstoredCounts(disk)
    left_out = Counter(
        "loki_py_pattern_lines_left_out",
        "Lines that were not looked at for patterns, nor others in their place.",
        registry=registry,
    )
    service = PatternService(
        clock, files, unstored, writer=instance_id, left_out=left_out.inc
    )
    return PatternParts(files, service, disk)


def pattern_routes_of(
    parts: PatternParts | None,
    cluster: Cluster | None,
    own: PatternSource | None,
    clock: Clock,
) -> PatternRoutes:
    """Return the routes over all instances of a cluster, or over our own."""
    if parts is None:
        return PatternRoutes(None, clock)
    sources: PatternSources
    if cluster is not None:
        sources = cluster.source
    else:
        assert own is not None
        sources = OneInstance(own)
    return PatternRoutes(PatternQuerier(sources, parts.store), clock)
