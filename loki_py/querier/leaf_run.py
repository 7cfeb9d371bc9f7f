"""Run one leaf of a plan on worker threads: read, map, add, stop early.

A run owns no thread. Workers are slices of work on a shared pool: a slice goes
on for SLICE_NS, then queues again behind the slices of other queries, so that
a long query never keeps a short one waiting. At most one unit per thread is in
memory, and at most `ahead_max` partial results wait for those before them.
"""

import heapq
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard, runtime_checkable

from loki_py.errors import DataUnreadable
from loki_py.logql.question import LeafQuestion
from loki_py.model.batch import EntryBatch
from loki_py.model.scan import (
    Columns,
    LargeUnit,
    LocalUnit,
    ReadStats,
    Scan,
    ScanUnit,
    TimedUnit,
)
from loki_py.transport.abc import MappingUnit

SLICE_NS = 10_000_000
"""How long one query may hold a worker thread before others get their turn."""

MAP_NS = 25_000_000
"""How long the evaluation of some rows should take: a query that is given up goes on
until then."""

MAP_ROWS_FIRST = 65_536
"""Rows that are evaluated at once before it is known how long they take."""

MAP_ROWS_FIRST_BY_LINE = 4_096
"""The same where lines may be looked at one by one."""

MAP_ROWS_MIN = 512
"""Rows that are evaluated at once at least, however long they take."""

PIECE_ROWS_MAX = 100_000
"""A large unit of more rows is cut before it is read, whatever the query."""
SMALL_PIECES_MAX = 4
"""Pieces that a query of few rows may want cut small."""


class Evaluator(Protocol):
    """What a run asks of the evaluation of a leaf."""

    def map(self, batch: EntryBatch) -> Any:
        """Return the batch's partial result; called on threads, several at once."""
        ...

    def add(self, partial: Any) -> None:
        """Take a partial result in; one call at a time, in the units' order."""
        ...

    def enough(self, bound_ns: int) -> bool:
        """Return whether rows no newer (older) than this can change nothing."""
        ...


@runtime_checkable
class TimesEvaluator(Protocol):
    """An evaluator that may need no more than the times of a unit."""

    @property
    def counts_times(self) -> bool:
        """Whether it does not need more of units that know their times."""
        ...

    def map_times(self, unit: TimedUnit, columns: Columns, stats: ReadStats) -> Any:
        """Return the unit's partial result; None where it takes a batch."""
        ...


class ReadWatch(Protocol):
    """Told after each unit what reading cost; raises to end the query."""

    def note(self, stats: ReadStats) -> None: ...


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """How a leaf is run.

    Attributes:
        workers: slices that may be at work at once.
        ahead_max: units begun but not added; small where the leaf stops early.
        alone_max: units that one thread reads before others join it.
        map_rows_first: rows that are evaluated at once at first.
        cut_small: whether large units are cut as small as they can be, for
            leaves that want the newest few rows.
        partial_allowed: whether the answer may miss data that cannot be read.
    """

    workers: int
    ahead_max: int
    alone_max: int = 0
    map_rows_first: int = MAP_ROWS_FIRST
    cut_small: bool = False
    partial_allowed: bool = False


@dataclass(frozen=True, slots=True)
class _Task:
    unit: ScanUnit
    index: int | None
    """Position among the units read; None where the unit is to be cut."""


@dataclass(slots=True, eq=False)
class LeafRun:
    """One leaf at work. `start` once; then `done` tells the end.

    Attributes:
        question: what the evaluator answers, for units that are evaluated where
            they lie.
        done: completes when no thread works for the run any more, with the
            error that ended it, if any.
        stats: what was read so far.
        warnings: what is missing from the answer.
    """

    scan: Scan
    evaluator: Evaluator
    pool: Executor
    policy: RunPolicy
    watch: ReadWatch
    question: LeafQuestion | None = None
    done: "Future[None]" = field(default_factory=Future)
    stats: ReadStats = field(default_factory=ReadStats)
    warnings: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _heap: list[tuple[int, int, ScanUnit, bool]] = field(default_factory=list)
    _pushed: int = 0
    _begun: int = 0
    _added: int = 0
    _bounds_ns: dict[int, int] = field(default_factory=dict)
    _ready: dict[int, Sequence[Any]] = field(default_factory=dict)
    _cutting: int = 0
    _running: int = 0
    _map_rows: int = 0
    _adding: bool = False
    _stopped: bool = False
    _error: BaseException | None = None

    def start(self, units: Sequence[ScanUnit]) -> None:
        """Begin; returns at once."""
        self.done.set_running_or_notify_cancel()
        self._map_rows = self.policy.map_rows_first
        with self._lock:
            for unit in units:
                self._push(unit, whole=False)
            self._wake()
            self._end_if_idle()

    def stop(self) -> None:
        """Begin nothing more; rows at work come to their end, unused."""
        with self._lock:
            self._stopped = True
            self._heap.clear()

    def _push(self, unit: ScanUnit, *, whole: bool) -> None:
        bound_ns = -unit.max_ns if self.scan.newest_first else unit.min_ns
        self._pushed += 1
        heapq.heappush(self._heap, (bound_ns, self._pushed, unit, whole))

    def _may_begin(self) -> bool:
        """Return whether a unit can be begun now; the lock is held."""
        if self._stopped or not self._heap:
            return False
        return not self._cutting and self._begun - self._added < self.policy.ahead_max

    def _wake(self) -> None:
        """Queue as many slices as there may be work for; the lock is held."""
        if not self._may_begin():
            return
        workers = 1 if self._begun < self.policy.alone_max else self.policy.workers
        while self._running < min(workers, len(self._heap) + self._pending):
            self.pool.submit(self._slice)
            self._running += 1

    @property
    def _pending(self) -> int:
        return len(self._bounds_ns) - len(self._ready)

    def _end_if_idle(self) -> None:
        """Complete the run if no slice is left; the lock is held."""
        if self._running == 0 and not self.done.done():
            if self._error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(self._error)

    def _slice(self) -> None:
        until_ns = time.monotonic_ns() + SLICE_NS
        while (task := self._take()) is not None:
            try:
                self._do(task)
                if time.monotonic_ns() >= until_ns:
                    self.pool.submit(self._slice)
                    return
            except BaseException as error:  # noqa: BLE001  the waiter gets it
                self._fail(error)

    def _take(self) -> _Task | None:
        """Return what to do next; None ends the slice."""
        with self._lock:
            if not self._may_begin():
                self._running -= 1
                self._end_if_idle()
                return None
            bound_ns, _, unit, whole = heapq.heappop(self._heap)
            if not whole and self._must_cut(unit):
                self._cutting += 1
                return _Task(unit, None)
            index = self._begun
            self._begun += 1
            self._bounds_ns[index] = _time_of(bound_ns, self.scan)
            return _Task(unit, index)

    def _must_cut(self, unit: ScanUnit) -> bool:
        # A query that is not done after so many pieces will need many more.
        small = self.policy.cut_small and self._begun < SMALL_PIECES_MAX
        return isinstance(unit, LargeUnit) and (small or unit.rows_max > PIECE_ROWS_MAX)

    def _do(self, task: _Task) -> None:
        if task.index is None:
            self._cut(task.unit)
            return
        stats = ReadStats()
        partials = self._mapped_where_readable(task.unit, stats)
        with self._lock:
            self.stats.add(stats)
            self.watch.note(stats)
            self._ready[task.index] = partials
        self._add_ready()

    def _mapped_where_readable(self, unit: ScanUnit, stats: ReadStats) -> Sequence[Any]:
        """Return what comes of the unit, or of those of its pieces that can be read.

        Raises: DataUnreadable where a part that is missing is an error.
        """
        own = ReadStats()
        pieces: Sequence[ScanUnit] = ()
        try:
            partials = self._mapped(unit, own)
        except DataUnreadable as error:
            if isinstance(unit, LargeUnit) and self.policy.partial_allowed:
                pieces = self._pieces_of(unit)
            if len(pieces) < 2:
                self._note_missing(error)
                return ()
        else:
            stats.add(own)
            return partials
        return [
            partial
            for piece in pieces
            for partial in self._mapped_where_readable(piece, stats)
        ]

    def _mapped(self, unit: ScanUnit, stats: ReadStats) -> Sequence[Any]:
        """Return what the evaluator makes of a unit's rows, here or where they lie."""
        if self.question is not None and isinstance(unit, MappingUnit) and unit.maps:
            return unit.mapped(self.question, stats)
        if isinstance(unit, TimedUnit) and counts_times(self.evaluator):
            partial = self.evaluator.map_times(unit, self.scan.columns, stats)
            if partial is not None:
                stats.units_timed += 1
                return [partial]
        batch = unit.read(self.scan.columns, stats)
        if not stats.units_repeated:
            stats.units_read += 1
        return self._mapped_in_parts(batch)

    def _mapped_in_parts(self, batch: EntryBatch) -> Sequence[Any]:
        """Return what the evaluator makes of rows; they are few where that is slow."""
        partials = []
        start = 0
        while start < len(batch) and not self._stopped:
            end = start + self._map_rows
            if len(batch) - end < self._map_rows // 2:
                end = len(batch)
            began_ns = time.monotonic_ns()
            part = batch if end - start == len(batch) else batch.slice(start, end)
            partials.append(self.evaluator.map(part))
            took_ns = max(time.monotonic_ns() - began_ns, 1)
            rows = (end - start) * MAP_NS // took_ns
            self._map_rows = max(MAP_ROWS_MIN, min(rows, PIECE_ROWS_MAX))
            start = end
        # Of rows of equal time the last comes first, as of units the newest does.
        is_last_first = self.policy.cut_small and self.scan.newest_first
        return partials[::-1] if is_last_first else partials

    def _cut(self, unit: ScanUnit) -> None:
        assert isinstance(unit, LargeUnit)
        pieces = self._halves_of(unit) or self._pieces_of(unit)
        with self._lock:
            self._cutting -= 1
            if not self._stopped:
                for piece in pieces:
                    self._push(piece, whole=True)
            self._wake()

    def _halves_of(self, unit: ScanUnit) -> Sequence[ScanUnit]:
        """Return both halves in time of what lies here; nothing of anything else.

        Pieces of it all have about the same times: of those each would be read.
        """
        low_ns, end_ns = unit.min_ns, unit.max_ns + 1
        middle_ns = (low_ns + end_ns + 1) // 2
        if unit.rows_max > PIECE_ROWS_MAX or not low_ns < middle_ns < end_ns:
            return ()
        if not (isinstance(unit, LocalUnit) and isinstance(unit, LargeUnit)):
            return ()
        spans = (low_ns, middle_ns), (middle_ns, end_ns)
        return [unit.narrowed(start_ns=low, end_ns=high) for low, high in spans]

    def _pieces_of(self, unit: LargeUnit) -> Sequence[ScanUnit]:
        try:
            return unit.pieces()
        except DataUnreadable as error:
            self._note_missing(error)
            return ()

    def _note_missing(self, error: DataUnreadable) -> None:
        if not self.policy.partial_allowed:
            raise error
        with self._lock:
            if str(error) not in self.warnings:
                self.warnings.append(str(error))

    def _add_ready(self) -> None:
        """Add what is ready and next in order, unless another slice is at it."""
        with self._lock:
            if self._adding:
                return
            self._adding = True
        while True:
            with self._lock:
                if self._stopped or self._added not in self._ready:
                    self._adding = False
                    return
                partials = self._ready.pop(self._added)
                del self._bounds_ns[self._added]
            for partial in partials:
                self.evaluator.add(partial)
            with self._lock:
                self._added += 1
                self._stop_if_enough()
                self._wake()

    def _stop_if_enough(self) -> None:
        """Stop where no unit left can change the result; the lock is held."""
        if self._cutting:
            return
        bound_ns = self._bounds_ns.get(self._added)
        if bound_ns is None and self._heap:
            bound_ns = _time_of(self._heap[0][0], self.scan)
        if bound_ns is not None and self.evaluator.enough(bound_ns):
            self.stats.units_unneeded += len(self._heap)
            self._stopped = True
            self._heap.clear()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if not self._stopped:
                self._error = error
            self._stopped = True
            self._heap.clear()


def counts_times(evaluator: Evaluator) -> TypeGuard[TimesEvaluator]:
    """Return whether times are all that the evaluator needs."""
    return isinstance(evaluator, TimesEvaluator) and evaluator.counts_times


def _time_of(key_ns: int, scan: Scan) -> int:
    """Return the time that a place in the queue stands for."""
    return -key_ns if scan.newest_first else key_ns
