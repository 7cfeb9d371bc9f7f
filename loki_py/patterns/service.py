"""Follow accepted pushes and find their patterns, off the way of the pushes.

Owns one thread, the table that it alone changes, and a task. A push hands over
a sample of its lines and goes on; how many lines a second are looked at is
bounded, each then stands for those left out.

What is counted is put in the object store every `PERSIST_NS`, when the ingester
is flushed, and at the end, and on the local disk every `KEEP_NS`: a killed process
loses what it counted since. Counts on their way to the store are still answered
from here. Start after the store; `stop` stores what is counted and ends the thread.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pyarrow as pa

from loki_py.config.units import NS_PER_S
from loki_py.errors import Unavailable
from loki_py.model.batch import EntryBatch
from loki_py.model.matchers import Matcher
from loki_py.model.pattern_rows import selected_rows
from loki_py.patterns.files import PatternFile
from loki_py.patterns.store import PatternStore, files_of
from loki_py.patterns.table import KEPT_NS, SAMPLES_MAX, PatternTable
from loki_py.patterns.unstored import UnstoredCounts
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.runtime.tasks import end_task
from loki_py.transport.pattern_source import HeldPatterns

T = TypeVar("T")

LINES_PER_SECOND = 5_000
"""Lines looked at under load."""

LINE_S = 20e-6
"""What a line may take; where lines take longer, fewer are looked at."""

LINES_BURST = 20_000
PENDING_MAX = 100
"""Samples that wait for the thread; more are left out."""

FORGET_EVERY_NS = 60_000_000_000
PERSIST_NS = 15 * 60_000_000_000
"""How often counts are stored."""

KEEP_NS = 60_000_000_000
"""How often counts are put on the local disk."""

PERSIST_SAMPLES = SAMPLES_MAX // 2
"""Counts in memory at which they are stored anyway."""

ROWS_WAITING_MAX = 2 * SAMPLES_MAX
"""Counts that the store did not take yet; beyond, the oldest are given up."""

WRITES_MAX = 8
"""Files that are written at once."""

TICK_S = 10.0
STOP_S_MAX = 10.0
DETECTED_LEVEL = "detected_level"

_log = logger_of("patterns")


class PatternService:
    """The patterns of recent lines.

    Args:
        store: where counts go.
        unstored: where they are until then.
        writer: the instance whose lines are counted.
        left_out: is told how many lines no sample stands for.
    """

    def __init__(
        self,
        clock: Clock,
        store: PatternStore,
        unstored: UnstoredCounts,
        *,
        writer: str,
        left_out: Callable[[int], None],
    ) -> None:
        self._clock = clock
        self._store = store
        self._unstored = unstored
        self._writer = writer
        self._left_out = left_out
        self._table = PatternTable()
        # On their way to the store; changed by the thread alone, as the table.
        self._waiting: dict[str, PatternFile] = {}
        self._persisting = asyncio.Lock()
        self._persisted_ns = clock.monotonic_ns()
        self._kept_ns = clock.monotonic_ns()
        self._ticks: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="patterns")
        self._pending = 0
        self._stopped = False
        self._credit = float(LINES_BURST)
        self._credit_ns = clock.monotonic_ns()
        self._overdrawn = 0.0
        self._forgot_ns = clock.monotonic_ns()

    def offer(self, tenant: str, batch: EntryBatch, skip: Sequence[int] = ()) -> None:
        """Take a sample of a batch; returns at once.

        Args:
            tenant: whose lines.
            batch: what was stored.
            skip: positions of streams that were refused.
        """
        count = min(len(batch), self._lines_allowed())
        if not count or self._stopped or self._pending >= PENDING_MAX:
            self._left_out(len(batch))
            return
        self._credit -= count
        rows = np.arange(count) * len(batch) // count
        weight = len(batch) / count
        self._pending += 1
        loop = asyncio.get_running_loop()
        task = loop.run_in_executor(
            self._pool, self._take, tenant, batch, rows, frozenset(skip), weight
        )
        task.add_done_callback(self._taken)

    async def patterns(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> HeldPatterns:
        """Return what is not stored yet; see `PatternSource.patterns`."""

        def held() -> HeldPatterns:
            counted = self._table.rows(
                tenant, matchers, start_ns=start_ns, end_ns=end_ns
            )
            waiting = {k: f for k, f in self._waiting.items() if f.tenant == tenant}
            rows = [
                selected_rows(file.rows, matchers, start_ns=start_ns, end_ns=end_ns)
                for file in waiting.values()
            ]
            every = pa.concat_tables([counted, *rows]).unify_dictionaries()
            return HeldPatterns(self._writer, every, tuple(waiting))

        return await self._on_thread(held)

    async def persist(self) -> None:
        """Store everything counted; durable on return.

        Raises: OSError, Unavailable where the store refuses; then it is tried
            again, and still answered from here.
        """
        async with self._persisting:
            self._persisted_ns = self._clock.monotonic_ns()
            files = await self._on_thread(self._take_counts)
            # From now on under the keys that the store will have them by.
            await self._keep(dict(files))
            for first in range(0, len(files), WRITES_MAX):
                writes = [self._write(*pair) for pair in files[first:][:WRITES_MAX]]
                for failure in await asyncio.gather(*writes, return_exceptions=True):
                    if failure is not None:
                        raise failure
            await self._keep({})

    async def keep(self) -> None:
        """Put on the local disk what is counted and not stored."""
        async with self._persisting:
            await self._keep(await self._on_thread(self._unstored_files))

    async def _keep(self, files: Mapping[str, PatternFile]) -> None:
        self._kept_ns = self._clock.monotonic_ns()
        try:
            await asyncio.to_thread(self._unstored.keep, files)
        except (OSError, Unavailable) as error:
            _log.error("counts are not on the local disk", error=repr(error))

    def _unstored_files(self) -> dict[str, PatternFile]:
        now_ns = self._clock.now_ns()
        files = dict(self._waiting)
        for tenant, rows in self._table.counted().items():
            files |= files_of(tenant, self._writer, rows, now_ns=now_ns)
        return files

    async def _write(self, key: str, file: PatternFile) -> None:
        await asyncio.to_thread(self._store.write, key, file)
        await self._on_thread(self._waiting.pop, key, None)

    async def start(self) -> None:
        """Take what the process before left, and begin to store what is counted."""
        try:
            left = await asyncio.to_thread(self._unstored.read)
        except (OSError, Unavailable) as error:
            _log.error("what was counted before is not read", error=repr(error))
        else:
            await self._on_thread(self._waiting.update, left)
        self._ticks = asyncio.create_task(self._tick_forever(), name="patterns")

    async def stop(self) -> None:
        """Store what is counted, leave out what is still to come, end the thread."""
        self._stopped = True
        if self._ticks is not None:
            await end_task(self._ticks)
            await self._persist_if_possible()
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_ns = self._clock.monotonic_ns()
            is_full = self._table.samples_count >= PERSIST_SAMPLES
            if now_ns - self._persisted_ns >= PERSIST_NS or is_full:
                await self._persist_if_possible()
            elif now_ns - self._kept_ns >= KEEP_NS:
                await self.keep()

    async def _persist_if_possible(self) -> None:
        try:
            async with asyncio.timeout(STOP_S_MAX if self._stopped else None):
                await self.persist()
        except (OSError, Unavailable) as error:
            _log.error("patterns are not stored", error=repr(error))

    def _take_counts(self) -> list[tuple[str, PatternFile]]:
        """Move what is counted to what waits for the store, and return that."""
        now_ns = self._clock.now_ns()
        for tenant, rows in self._table.take().items():
            self._waiting |= files_of(tenant, self._writer, rows, now_ns=now_ns)
        rows_count = sum(len(file.rows) for file in self._waiting.values())
        while rows_count > ROWS_WAITING_MAX:
            key = next(iter(self._waiting))
            rows_count -= len(self._waiting.pop(key).rows)
            _log.error("patterns are given up", key=key)
        if self._table.uncounted:
            _log.warning("lines are in no pattern", lines=self._table.uncounted)
            self._table.uncounted = 0
        return list(self._waiting.items())

    async def _on_thread(self, call: Callable[..., T], *given: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, call, *given
        )

    def _lines_allowed(self) -> int:
        now_ns = self._clock.monotonic_ns()
        earned = (now_ns - self._credit_ns) / NS_PER_S * LINES_PER_SECOND
        overdrawn, self._overdrawn = self._overdrawn, 0.0
        self._credit = min(self._credit + earned, LINES_BURST) - overdrawn
        self._credit_ns = now_ns
        return max(int(self._credit), 0)

    def _take(
        self,
        tenant: str,
        batch: EntryBatch,
        rows: "np.typing.NDArray[np.int64]",
        skip: frozenset[int],
        weight: float,
    ) -> None:
        began_s = time.thread_time()
        self._count(tenant, batch.take(rows), skip, weight)
        took_s = time.thread_time() - began_s
        self._overdrawn += max(took_s / LINE_S - len(rows), 0.0)
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._forgot_ns > FORGET_EVERY_NS:
            self._forgot_ns = now_ns
            self._table.forget(before_ns=self._clock.now_ns() - KEPT_NS)

    def _count(
        self, tenant: str, sample: EntryBatch, skip: frozenset[int], weight: float
    ) -> None:
        assert sample.line is not None
        lines = sample.line.to_pylist()
        times = sample.timestamp_ns.tolist()
        known = sample.metadata.get(DETECTED_LEVEL)
        levels = [""] * len(lines) if known is None else known.to_pylist()
        groups: dict[tuple[int, str], list[int]] = {}
        for row, (stream, level) in enumerate(
            zip(sample.stream.tolist(), levels, strict=True)
        ):
            if stream not in skip:
                groups.setdefault((stream, level or ""), []).append(row)
        for (stream, level), chosen in groups.items():
            self._table.add(
                (tenant, sample.streams[stream], level),
                [lines[row] for row in chosen],
                [times[row] for row in chosen],
                weight=weight,
                now_ns=self._clock.now_ns(),
            )

    def _taken(self, task: "asyncio.Future[None]") -> None:
        self._pending -= 1
        if not task.cancelled() and task.exception() is not None:
            _log.error("a sample was not looked at", error=repr(task.exception()))
