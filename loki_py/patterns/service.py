"""Follow accepted pushes and find their patterns, off the way of the pushes.

Owns one thread and the table that it alone changes. A push hands over a sample
of its lines and goes on; how many lines a second are looked at is bounded, each
then stands for those left out. Start is construction; `stop` ends the thread.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.scan import Scan
from loki_py.patterns.table import KEPT_NS, Pattern, PatternTable
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import logger_of
from loki_py.transport.abc import IngesterClient, PushAnswer, Selection

LINES_PER_SECOND = 5_000
"""Lines looked at under load; one takes about 20 µs."""

LINES_BURST = 20_000
PENDING_MAX = 100
"""Samples that wait for the thread; more are left out."""

FORGET_EVERY_NS = 60_000_000_000
DETECTED_LEVEL = "detected_level"
_NS_PER_S = 1_000_000_000

_log = logger_of("patterns")


class PatternService:
    """The patterns of recent lines."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._table = PatternTable()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="patterns")
        self._pending = 0
        self._stopped = False
        self._credit = float(LINES_BURST)
        self._credit_ns = clock.monotonic_ns()
        self._forgot_ns = clock.monotonic_ns()
        self.lines_left_out = 0

    def offer(self, tenant: str, batch: EntryBatch, skip: Sequence[int] = ()) -> None:
        """Take a sample of a batch; returns at once.

        Args:
            tenant: whose lines.
            batch: what was stored.
            skip: positions of streams that were refused.
        """
        count = min(len(batch), self._lines_allowed())
        if not count or self._stopped or self._pending >= PENDING_MAX:
            self.lines_left_out += len(batch)
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

    async def select(
        self,
        tenant: str,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
        step_ns: int,
    ) -> list[Pattern]:
        """Return patterns; see `PatternTable.select`."""
        return await asyncio.get_running_loop().run_in_executor(
            self._pool,
            lambda: self._table.select(
                tenant, matchers, start_ns=start_ns, end_ns=end_ns, step_ns=step_ns
            ),
        )

    async def start(self) -> None:
        """Do nothing: construction was the start."""

    async def stop(self) -> None:
        """Leave out what waits and what is still to come, and end the thread."""
        self._stopped = True
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    def _lines_allowed(self) -> int:
        now_ns = self._clock.monotonic_ns()
        earned = (now_ns - self._credit_ns) / _NS_PER_S * LINES_PER_SECOND
        self._credit = min(self._credit + earned, LINES_BURST)
        self._credit_ns = now_ns
        return int(self._credit)

    def _take(
        self,
        tenant: str,
        batch: EntryBatch,
        rows: "np.typing.NDArray[np.int64]",
        skip: frozenset[int],
        weight: float,
    ) -> None:
        sample = batch.take(rows)
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
            )
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._forgot_ns > FORGET_EVERY_NS:
            self._forgot_ns = now_ns
            self._table.forget(before_ns=self._clock.now_ns() - KEPT_NS)

    def _taken(self, task: "asyncio.Future[None]") -> None:
        self._pending -= 1
        if not task.cancelled() and task.exception() is not None:
            _log.error("a sample was not looked at", error=repr(task.exception()))


class FollowedIngester:
    """An ingester whose accepted pushes the patterns follow."""

    def __init__(self, ingester: IngesterClient, patterns: PatternService) -> None:
        self._ingester = ingester
        self._patterns = patterns

    async def push(self, tenant: str, batch: EntryBatch) -> PushAnswer:
        """Store the batch, then offer it; see `IngesterClient.push`."""
        answer = await self._ingester.push(tenant, batch)
        self._patterns.offer(tenant, batch, tuple(answer.rejected))
        return answer

    async def select(self, tenant: str, scan: Scan) -> Selection:
        """See `IngesterClient.select`."""
        return await self._ingester.select(tenant, scan)

    async def series(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[LabelSet]:
        """See `IngesterClient.series`."""
        return await self._ingester.series(
            tenant, matchers, start_ns=start_ns, end_ns=end_ns
        )

    async def flush(self) -> None:
        """See `IngesterClient.flush`."""
        await self._ingester.flush()
