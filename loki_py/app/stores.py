"""Construct the object store that the settings name, and the caches before it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from loki_py.config.schema import Config
from loki_py.config.storage_schema import CacheConfig
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.storage.abc import ObjectStore
from loki_py.storage.cache import Cache, EmbeddedCache, TieredCache
from loki_py.storage.cache_metrics import CacheMetrics
from loki_py.storage.caching import CachingStore
from loki_py.storage.filesystem import FilesystemStore

log = logger_of("store")


@dataclass(frozen=True, slots=True)
class WiredStore:
    """An object store with its beginning and end, as a service.

    Attributes:
        store: for everything that writes.
        reads: for queries; the same, or a cache before it.
        open: connects; may block.
        closing: what ends with the process, in order.
    """

    store: ObjectStore
    reads: ObjectStore
    open: Callable[[], None]
    closing: tuple[Callable[[], None], ...] = ()

    async def start(self) -> None:
        """Open the store."""
        await asyncio.to_thread(self.open)

    async def stop(self) -> None:
        """Close connections; nothing uses them any more."""
        for close in self.closing:
            close()


def store_of(config: Config, clock: Clock, registry: CollectorRegistry) -> WiredStore:
    """Return the store that `common.storage` names, not yet opened.

    What only S3 needs is imported only for S3: it costs time and memory.
    """
    cache = config.chunk_store.cache
    if not config.common.storage.s3.bucket:
        if cache.memcached.is_enabled or cache.embedded.enabled:
            log.warning("objects in files are mapped, the cache is not used")
        files = FilesystemStore(Path(config.chunks_directory))
        return WiredStore(files, files, files.start)
    from loki_py.storage.s3 import S3Store  # noqa: PLC0415
    from loki_py.storage.s3_metrics import S3Metrics  # noqa: PLC0415

    bucket = S3Store(config.common.storage.s3, S3Metrics(registry))
    if not (cache.memcached.is_enabled or cache.embedded.enabled):
        return WiredStore(bucket, bucket, bucket.start, (bucket.close,))
    metrics = CacheMetrics(registry)
    chosen, closing = _cache_of(cache, clock, metrics)
    reads = CachingStore(bucket, chosen, metrics)
    return WiredStore(bucket, reads, bucket.start, (*closing, bucket.close))


def _cache_of(
    config: CacheConfig, clock: Clock, metrics: CacheMetrics
) -> tuple[Cache, tuple[Callable[[], None], ...]]:
    """Return the cache, and what ends it: memory first, then memcached."""
    near = EmbeddedCache(config.embedded.mib_max << 20)
    if not config.memcached.is_enabled:
        return near, ()
    from loki_py.storage.cache_memcached import MemcachedCache  # noqa: PLC0415

    far = MemcachedCache(config.memcached, clock, metrics)
    if not config.embedded.enabled:
        return far, (far.close,)
    return TieredCache(near, far), (far.close,)
