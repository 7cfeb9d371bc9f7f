"""The ingester: takes pushes, answers scans, and keeps both true over restarts.

Owns the WAL, the block files and three tasks (cut, flush, age). Start order:
block files, WAL replay, WAL, tasks; stop order is the reverse, with a last cut,
so that the next start finds nothing to replay.

Everything in memory is changed on the event loop; worker threads only read
what no longer changes.
"""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loki_py.config.limits import Overrides
from loki_py.config.schema import IngesterConfig
from loki_py.errors import NotReady, Overloaded
from loki_py.ingester.admission import Admission, AdmissionRules, admit
from loki_py.ingester.blockstore import BlockStore
from loki_py.ingester.cells import CellBook
from loki_py.ingester.cutter import Cutter, register
from loki_py.ingester.flush_policy import FlushPolicy
from loki_py.ingester.flush_scheduler import FlushBounds, FlushScheduler, OnFlushed
from loki_py.ingester.flusher import Flusher
from loki_py.ingester.generation import Generation
from loki_py.ingester.handover import Successors
from loki_py.ingester.head import runs_of
from loki_py.ingester.metrics import IngesterMetrics
from loki_py.ingester.recovery import Replay
from loki_py.ingester.select import select, survey
from loki_py.ingester.state import IngesterState
from loki_py.ingester.stream_table import Refs, StreamTable
from loki_py.ingester.tails import Tails
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.scan import Scan
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.runtime.tasks import end_task
from loki_py.storage.abc import ObjectStore
from loki_py.transport.abc import PushAnswer, Selection, SurveyedSource
from loki_py.transport.tailing import Following
from loki_py.wal.log import Log, LogSettings
from loki_py.wal.records import encode_entries, encode_series
from loki_py.wal.replay import ReplayStats, replay
from loki_py.wal.segment_file import Disk

TICK_SECONDS = 1.0
"""How often age and disk space are looked at."""

log = logger_of("ingester")


@dataclass(frozen=True, slots=True)
class IngesterSettings:
    """Who the ingester is and where its files lie.

    Attributes:
        instance_id: part of object keys and file headers.
        config: the `ingester` section.
        wal_folder, block_folder, flush_folder: folders of its own.
    """

    instance_id: str
    config: IngesterConfig
    wal_folder: Path
    block_folder: Path
    flush_folder: Path


class Ingester(SurveyedSource):
    """One ingester; implements `transport.abc.IngesterClient` in its process.

    Args:
        disk: what makes WAL bytes durable; tests give one that fails.
    """

    def __init__(
        self,
        settings: IngesterSettings,
        *,
        store: ObjectStore,
        overrides: Overrides,
        clock: Clock,
        metrics: IngesterMetrics,
        disk: Disk | None = None,
    ) -> None:
        self._settings = settings
        self._config = config = settings.config
        self._overrides = overrides
        self._clock = clock
        self._metrics = metrics
        self._state = IngesterState()
        self._tails = Tails()
        self._blocks = BlockStore(settings.block_folder)
        self._cells = CellBook()
        self._wal = _wal_of(settings, disk)
        self._cutter = Cutter(
            self._state,
            self._wal,
            self._blocks,
            metrics,
            instance_id=settings.instance_id,
            block_bytes=config.block_bytes_target,
        )
        self._flusher = Flusher(store, settings.instance_id, settings.flush_folder)
        self._listeners: list[OnFlushed] = []
        self._flushes = FlushScheduler(
            self._state,
            self._blocks,
            self._flusher,
            FlushPolicy(
                config.pack_bytes_target, config.chunk_idle_ns, config.chunk_age_ns_max
            ),
            FlushBounds.of(config),
            clock=clock,
            metrics=metrics,
            on_flushed=self._tell_flushed,
        )
        self._known_refs: dict[str, npt.NDArray[np.bool_]] = {}
        self._known_segment = -1
        self._disk_trouble = ""
        self._ticks: asyncio.Task[None] | None = None
        self._serving = False
        self.flush_on_stop = config.flush_on_shutdown
        self.streams_share = 1.0
        """The part of all streams that is ours where there are more ingesters."""

    @property
    def flushes_by_default(self) -> bool:
        """Whether the settings ask for a flush at the end."""
        return self._config.flush_on_shutdown

    def close_to_pushes(self) -> None:
        """Refuse pushes from now on; reads and flushes go on."""
        self._serving = False

    def on_flushed(self, listener: OnFlushed) -> None:
        """Have the listener told of every index file that a flush writes."""
        self._listeners.append(listener)

    def reason_not_ready(self) -> str | None:
        """Return why pushes would be refused, None where they are taken."""
        if not self._serving:
            return "ingester is replaying its WAL or stopping"
        return None

    async def start(self) -> None:
        """Open what is on disk, replay the WAL, then serve.

        Raises: OSError, UnknownVersion where the disk cannot be used.
        """
        started_ns = self._clock.monotonic_ns()
        segment_max = await asyncio.to_thread(self._recover)
        self._wal.start(segment_min=segment_max + 1)
        await asyncio.to_thread(self._wal.delete_through, segment_max)
        self._cutter.start()
        self._flushes.start()
        self._ticks = asyncio.create_task(self._tick_forever(), name="ingester-ticks")
        self._serving = True
        seconds = (self._clock.monotonic_ns() - started_ns) / 1e9
        self._metrics.wal_replay_seconds.set(seconds)

    async def stop(self) -> None:
        """Take no more pushes, cut what is in memory, close the WAL."""
        self._serving = False
        await end_task(self._ticks)
        self._cutter.seal()
        await self._cutter.stop()
        await self._flushes.stop()
        if self.flush_on_stop:
            await self._flushes.flush_all()
        await self._wal.stop()

    async def push(self, tenant: str, batch: EntryBatch) -> PushAnswer:
        """Store the batch; see `transport.abc.IngesterClient.push`."""
        return await self._take(tenant, batch, self._rules(tenant), is_news=True)

    async def take_over(self, tenant: str, batch: EntryBatch) -> PushAnswer:
        """Store what another ingester took from clients and hands on; like `push`.

        Only the limit on streams holds: rates and times were checked before.
        Nobody who follows a stream is told.
        """
        rules = self._rules(tenant)
        limits = replace(rules.limits, stream_rate_bytes=0)
        rules = replace(rules, limits=limits, window_ns=0)
        return await self._take(tenant, batch, rules, is_news=False)

    async def _take(
        self, tenant: str, batch: EntryBatch, rules: AdmissionRules, *, is_news: bool
    ) -> PushAnswer:
        if not self._serving:
            raise NotReady("Ingester is shutting down")
        if self._disk_trouble:
            raise Overloaded(self._disk_trouble)
        await self._cutter.room()
        self._wal.check()
        now_ns = self._clock.now_ns()
        table = self._state.table_of(tenant)
        admission = admit(tenant, batch, table, rules, now_ns=now_ns)
        if admission.new_refs:
            self._metrics.streams_created.labels(tenant).inc(len(admission.new_refs))
        if admission.accepted is not None:
            refs = await self._store(tenant, table, admission.accepted, now_ns=now_ns)
            if is_news:
                self._tails.publish(tenant, table, admission.accepted, refs)
        return _answer_of(admission)

    async def select(self, tenant: str, scan: Scan) -> Selection:
        """Return what is held for a scan; see `IngesterClient.select`."""
        return select(tenant, scan, self._state, self._blocks, self._cells)

    async def survey(self, tenant: str, scan: Scan) -> Selection:
        """Return what is held, without units; see `SurveyedSource.survey`."""
        return survey(tenant, scan, self._state, self._blocks, self._cells)

    async def series(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[LabelSet]:
        """Return matching label sets; see `IngesterClient.series`."""
        table = self._state.tables.get(tenant)
        if table is None:
            return ()
        refs = table.select(matchers, start_ns=start_ns, end_ns=end_ns)
        return table.labels_of(refs)

    def tail(self, tenant: str, matchers: Sequence[Matcher]) -> Following:
        """Follow what becomes durable; see `transport.tailing.EntryFeed`."""
        return self._tails.follow(tenant, matchers, self._state.tables.get(tenant))

    async def flush(self, successors: Successors | None = None) -> None:
        """Write everything to the object store, or give it to `successors`."""
        self._cutter.seal()
        await self._cutter.drained()
        await self._flushes.flush_all(successors)

    def _rules(self, tenant: str) -> AdmissionRules:
        limits = self._overrides.limits_of(tenant)
        global_max = limits.streams_global_max
        shared_max = global_max and max(int(global_max * self.streams_share), 1)
        bounds = [limits.streams_local_max, shared_max]
        return AdmissionRules(
            min((bound for bound in bounds if bound), default=0),
            self._config.unordered_window_ns,
            self._config.chunk_idle_ns,
            limits,
        )

    async def _store(
        self, tenant: str, table: StreamTable, piece: EntryBatch, *, now_ns: int
    ) -> Refs:
        """Append to WAL and head in one step, wait for the disk; return the refs.

        Both happen before the first await, so that a generation holds exactly
        what its WAL segments hold. Where the disk fails, the entries stay in
        memory unacknowledged; a retry of the client makes duplicates of them,
        which are dropped.
        """
        runs = runs_of(piece.stream, piece.timestamp_ns)
        segment = self._wal.segment
        known = self._refs_known_to(tenant, table, segment)
        is_fresh = ~known[runs.ref]
        records = [encode_entries(tenant, piece.stream, piece)]
        if is_fresh.any():
            fresh = runs.ref[is_fresh]
            pairs = zip(fresh.tolist(), table.labels_of(fresh), strict=True)
            records.insert(0, encode_series(tenant, pairs))
            known[fresh] = True
        durable = self._wal.append(records, segment=segment)
        self._state.open.append(tenant, piece, runs, table, now_ns=now_ns)
        table.appended_ns[runs.ref] = now_ns
        self._state.appended_ns[tenant] = now_ns
        if self._is_due(now_ns):
            self._cutter.seal()
        await durable
        return runs.ref

    def _refs_known_to(
        self, tenant: str, table: StreamTable, segment: int
    ) -> npt.NDArray[np.bool_]:
        """Return bool by ref, whether the WAL segment has the stream's labels."""
        if segment != self._known_segment:
            self._known_refs.clear()
            self._known_segment = segment
        known = self._known_refs.get(tenant)
        if known is None or len(known) < table.capacity:
            grown = np.zeros(2 * table.capacity, np.bool_)
            if known is not None:
                grown[: len(known)] = known
            known = self._known_refs[tenant] = grown
        return known

    def _is_due(self, now_ns: int) -> bool:
        return self._state.open.is_due(
            bytes_max=self._config.head_bytes_max,
            age_ns_max=self._config.head_age_ns_max,
            now_ns=now_ns,
        )

    async def _tick_forever(self) -> None:
        while True:
            self._tick()
            await asyncio.sleep(TICK_SECONDS)

    def _tick(self) -> None:
        if self._is_due(self._clock.now_ns()):
            self._cutter.seal()
        usage = shutil.disk_usage(self._settings.block_folder)
        ratio = 1 - usage.free / usage.total
        self._disk_trouble = (
            f"local disk is {ratio:.1%} full, limit is "
            f"{self._config.disk_ratio_max:.1%}; {usage.free} bytes are free"
            if ratio >= self._config.disk_ratio_max
            else ""
        )
        metrics = self._metrics
        metrics.head_bytes.set(self._state.head_bytes)
        metrics.wal_bytes_in_use.set(self._wal.size_bytes)
        metrics.wal_records.set(self._wal.stats.records)
        metrics.wal_fsyncs.set(self._wal.stats.syncs)
        files = self._blocks.files.values()
        metrics.block_file_bytes.set(sum(local.file.file_bytes for local in files))
        for tenant, table in self._state.tables.items():
            metrics.streams.labels(tenant).set(len(table))

    def _tell_flushed(self, tenant: str, key: str, data: bytes) -> None:
        for listener in self._listeners:
            listener(tenant, key, data)

    def _recover(self) -> int:
        """Open block files and replay the WAL; return the highest segment covered.

        Blocking; nothing else runs yet, so the state may be changed here.
        """
        self._flusher.start()
        self._blocks.open_all()
        segment_max = 0
        for local in list(self._blocks.files.values()):
            register(local, self._blocks, self._state)
            segment_max = max(segment_max, local.file.header.segment_max)
        for tenant, part in self._blocks.settle_records():
            self._state.tables[tenant].holders[part.refs] -= 1
        self._state.open = Generation(self._blocks.next_generation())
        stats = ReplayStats()
        replayed = Replay(
            self._state.open,
            self._state.tables,
            self._config.head_bytes_max,
            self._cutter.seal_replayed,
            self._clock.now_ns(),
        )
        self._state.open = replayed.run(
            replay(self._settings.wal_folder, stats, segment_min=segment_max + 1)
        )
        for tenant in self._state.tables:
            self._state.appended_ns.setdefault(tenant, self._clock.now_ns())
        self._metrics.wal_recovered_entries.inc(replayed.counts.entries)
        self._metrics.wal_corruptions.labels("record").inc(stats.quarantined)
        self._metrics.wal_corruptions.labels("orphan").inc(replayed.counts.orphans)
        if stats.records or stats.quarantined:
            log.info(
                "WAL replayed",
                segments=stats.segments,
                entries=replayed.counts.entries,
                torn_bytes=stats.torn_bytes,
                quarantined=stats.quarantined,
                quarantined_bytes=stats.quarantined_bytes,
            )
        return segment_max


def _wal_of(settings: IngesterSettings, disk: Disk | None) -> Log:
    wal = settings.config.wal
    bounds = LogSettings(
        settings.instance_id, sync=wal.sync, sync_interval_ns=wal.sync_interval_ns
    )
    return Log(settings.wal_folder, bounds, disk=disk)


def _answer_of(admission: Admission) -> PushAnswer:
    return PushAnswer(admission.rejected, tuple(admission.discards))
