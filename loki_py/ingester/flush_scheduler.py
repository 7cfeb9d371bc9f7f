"""Flush what is due, keep the hot tier within its bound, forget idle streams.

Owns one task. Flushes run one at a time, so that memory stays bounded; a flush
that fails is tried again at the next round, its entries stay where they are.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loki_py.config.schema import IngesterConfig
from loki_py.errors import CorruptData, LokiError, Unavailable
from loki_py.ingester.blockstore import BlockStore, LocalFile
from loki_py.ingester.flush_policy import FlushPolicy, FlushReason, Unflushed
from loki_py.ingester.flush_record import FlushRecord
from loki_py.ingester.flusher import Flusher, FlushOutcome
from loki_py.ingester.handover import (
    Successors,
    handed_over,
    record_of,
    streams_of,
)
from loki_py.ingester.metrics import IngesterMetrics
from loki_py.ingester.state import IngesterState
from loki_py.model.labels import LabelSet
from loki_py.model.object_keys import ULID_RANDOM_BYTES, ulid_of
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.runtime.tasks import end_task

OnFlushed = Callable[[str, str, bytes], None]
"""Called with tenant, index key and index bytes once a flush is durable."""

log = logger_of("ingester")


@dataclass(frozen=True, slots=True)
class FlushBounds:
    """What the scheduler keeps to.

    Attributes:
        check_ns: how often it looks.
        hot_bytes_max: block files that stay after their flush.
        retain_ns: how long they stay at least.
        stream_idle_ns: idle streams without entries are forgotten after this.
    """

    check_ns: int
    hot_bytes_max: int
    retain_ns: int
    stream_idle_ns: int

    @classmethod
    def of(cls, config: IngesterConfig) -> "FlushBounds":
        """Return the bounds that the configuration sets."""
        return cls(
            config.flush_check_ns,
            config.hot_tier_bytes_max,
            config.chunk_retain_ns,
            config.chunk_idle_ns,
        )


class FlushScheduler:
    """Decides by `FlushPolicy`, acts by `Flusher`. Called on the event loop."""

    def __init__(
        self,
        state: IngesterState,
        blocks: BlockStore,
        flusher: Flusher,
        policy: FlushPolicy,
        bounds: FlushBounds,
        *,
        clock: Clock,
        metrics: IngesterMetrics,
        on_flushed: OnFlushed,
    ) -> None:
        self._state = state
        self._blocks = blocks
        self._flusher = flusher
        self._policy = policy
        self._bounds = bounds
        self._clock = clock
        self._metrics = metrics
        self._on_flushed = on_flushed
        self._one_at_a_time = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for what is due."""
        self._task = asyncio.create_task(self._run(), name="ingester-flushes")

    async def stop(self) -> None:
        """End after the flush that is under way."""
        async with self._one_at_a_time:
            await end_task(self._task)

    async def flush_all(self, successors: Successors | None = None) -> None:
        """Flush every tenant's block files; durable on return.

        Args:
            successors: get chunks that are small; what they refuse is uploaded.

        Raises: Unavailable where the object store refuses.
        """
        for tenant in list(self._state.tables):
            await self._flush(tenant, FlushReason.FORCED, successors)
        await self._keep_bounds()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._bounds.check_ns / 1e9)
            try:
                await self.flush_due()
            except Exception:
                log.exception("flushed files were not dropped")

    async def flush_due(self) -> None:
        """Flush the tenants that are due; failures are counted and come again."""
        for tenant in list(self._state.tables):
            await self._flush_if_due(tenant)
        await self._keep_bounds()

    async def _flush_if_due(self, tenant: str) -> None:
        """Flush a tenant if it is due; whatever fails is no matter of others."""
        try:
            reason = self._reason(tenant)
            if reason is not None:
                await self._flush(tenant, reason)
        except Unavailable:
            return  # counted and told by `_try_flush`
        except Exception:
            self._metrics.flush_failures.inc()
            log.exception("flush broke", tenant=tenant)

    def _reason(self, tenant: str) -> FlushReason | None:
        files = self._blocks.unflushed(tenant)
        if not files:
            return None
        unflushed = Unflushed(
            sum(local.parts[tenant].line_bytes for local in files),
            min(local.created_ns for local in files),
            self._state.appended_ns[tenant],
        )
        return self._policy.reason_to_flush(unflushed, now_ns=self._clock.now_ns())

    async def _flush(
        self, tenant: str, reason: FlushReason, successors: Successors | None = None
    ) -> None:
        async with self._one_at_a_time:
            files = self._blocks.unflushed(tenant)
            if not files:
                return
            started_ns = self._clock.monotonic_ns()
            elsewhere: frozenset[LabelSet] = frozenset()
            if successors is not None:
                elsewhere = await handed_over(tenant, files, successors)
                if elsewhere == streams_of(tenant, files):
                    await self._note_handed_over(tenant, files)
                    self._metrics.chunks_sent.inc(len(elsewhere))
                    return
            outcome = await self._try_flush(tenant, files, elsewhere)
            self._on_flushed(tenant, outcome.index_key, outcome.index)
            await self._note(outcome.record)
        seconds = (self._clock.monotonic_ns() - started_ns) / 1e9
        self._metrics.flush_seconds.observe(seconds)
        self._metrics.chunks_sent.inc(len(elsewhere))
        self._metrics.duplicates.inc(outcome.record.duplicates)
        self._metrics.chunks_flushed.labels(reason.value).inc(outcome.chunks_count)
        log.info(
            "flushed",
            tenant=tenant,
            reason=reason.value,
            chunks=outcome.chunks_count,
            packs=len(outcome.record.packs),
            seconds=round(seconds, 3),
        )

    async def _note_handed_over(self, tenant: str, files: Sequence[LocalFile]) -> None:
        now_ns = self._clock.now_ns()
        ulid = ulid_of(now_ns, secrets.token_bytes(ULID_RANDOM_BYTES))
        await self._note(record_of(tenant, files, ulid=ulid, now_ns=now_ns))

    async def _note(self, record: FlushRecord) -> None:
        """Remember a flush; also after a restart, if the disk takes its record.

        Without it the next start flushes the same once more, and reading drops
        the duplicates: worse would be to keep what fills the disk.
        """
        try:
            await asyncio.to_thread(self._blocks.write_record, record)
        except OSError as error:
            log.warning("no flush record", tenant=record.tenant, reason=str(error))
        self._blocks.add_record(record)

    async def _try_flush(
        self, tenant: str, files: Sequence[LocalFile], elsewhere: frozenset[LabelSet]
    ) -> FlushOutcome:
        try:
            return await asyncio.to_thread(
                self._flusher.flush,
                tenant,
                files,
                clock=self._clock,
                without=elsewhere,
            )
        except (OSError, LokiError) as error:
            self._metrics.flush_failures.inc()
            log.warning("flush failed", tenant=tenant, reason=str(error))
            if isinstance(error, CorruptData):
                raise Unavailable(f"a block of tenant {tenant} is damaged") from error
            raise Unavailable(f"flush failed: {error}") from error

    async def _keep_bounds(self) -> None:
        """Drop the oldest hot parts over the bound; forget idle streams."""
        async with self._one_at_a_time:
            now_ns = self._clock.now_ns()
            dropped = self._drop_hot(now_ns)
            files = self._blocks.take_empty()
            if files or dropped:
                await asyncio.to_thread(
                    self._blocks.remove, files, [record.ulid for record in dropped]
                )
        idle_ns = now_ns - self._bounds.stream_idle_ns
        for tenant, table in self._state.tables.items():
            removed = table.remove_unused(appended_before_ns=idle_ns)
            if removed:
                self._metrics.streams_removed.labels(tenant).inc(removed)

    def _drop_hot(self, now_ns: int) -> list[FlushRecord]:
        hot_bytes = self._blocks.hot_bytes()
        dropped = []
        for record in sorted(self._blocks.records.values(), key=lambda r: r.ulid):
            is_young = now_ns - record.flushed_ns < self._bounds.retain_ns
            if hot_bytes <= self._bounds.hot_bytes_max or is_young:
                break
            for part, local in self._blocks.drop(record):
                self._state.tables[record.tenant].holders[part.refs] -= 1
                if not local.parts:
                    hot_bytes -= local.file.file_bytes
            dropped.append(record)
        return dropped
