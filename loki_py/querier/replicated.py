"""Ask all ingesters of a ring, and go on when nothing acknowledged can miss.

An `EntrySource` over the ring. Of those who may hold entries as many are asked at
once as make an answer whole, the others when one of these fails or is slow; as
soon as only so few answers are missing as an acknowledged entry survives,
the rest is not waited for. Where more are missing the answer is an error that
says which: never a part of the entries as if it were all.

An instance that was lost in the middle of a query is left out for a while,
where a read without it is whole, so that asking again does not hit it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from loki_py.errors import LokiError, QuorumNotReached, RequestRejected
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.scan import Scan, ScanUnit, Skipped, chunks_of
from loki_py.querier.shares import Replica, shared_out
from loki_py.ring.desc import InstanceDesc
from loki_py.ring.replication import ReadOutcome, ReadSet, ReadTracker
from loki_py.runtime.clock import Clock
from loki_py.transport.abc import InstanceLost, Selection
from loki_py.transport.pattern_source import HeldPatterns, ReadSource
from loki_py.wire.cells import CELLS_MAX

T = TypeVar("T")

SUSPECT_NS = 10_000_000_000
"""How long an instance that was lost in a query is left out where it can be."""

SPARE_S = 0.05
"""How long others may take before those are asked that were not needed so far."""


class ReadRing(Protocol):
    """What is asked of the ring of ingesters."""

    def read_set(self) -> ReadSet: ...


class ReplicatedSource:
    """All ingesters of a ring, for one event loop."""

    def __init__(
        self,
        ring: ReadRing,
        client_of: Callable[[InstanceDesc], ReadSource],
        clock: Clock,
        *,
        replication_factor: int,
        zone_aware: bool,
    ) -> None:
        self._ring = ring
        self._client_of = client_of
        self._clock = clock
        self._replication_factor = replication_factor
        self._zone_aware = zone_aware
        self._suspects: dict[str, int] = {}
        self._flushed: set[str] = set()
        self._turn = 0

    def suspect(self, instance_id: str) -> None:
        """Leave an instance out for a while, where reads are whole without it."""
        self._suspects[instance_id] = self._clock.monotonic_ns() + SUSPECT_NS

    async def select(self, tenant: str, scan: Scan) -> Selection:
        """Return what the ingesters hold; replicas' units have origins apart.

        Raises: QuorumNotReached.
        """
        answers = await self._asked(
            lambda source: source.select(tenant, scan), all_of=tenant in self._flushed
        )
        if any(each.packs_covered for each in answers.values()):
            if tenant not in self._flushed:
                # What the others cover is not known, and would be read twice.
                self._flushed.add(tenant)
                return await self.select(tenant, scan)
        else:
            self._flushed.discard(tenant)
        found = [answers[name] for name in sorted(answers)]
        units, other_replicas = await _units_of(found)
        return Selection(
            units,
            frozenset[str]().union(*(each.packs_covered for each in found)),
            self._once(sum(each.chunks_matched for each in found), len(found)),
            tuple(
                f"ingester {name}: {text}"
                for name, each in answers.items()
                for text in each.missing
            ),
            ingesters_count=len(answers),
            skipped=self._skipped_once(found, other_replicas),
        )

    async def series(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[LabelSet]:
        """Return the label sets that any ingester has.

        Raises: QuorumNotReached.
        """
        found = await self._asked(
            lambda source: source.series(
                tenant, matchers, start_ns=start_ns, end_ns=end_ns
            )
        )
        return tuple({labels for each in found.values() for labels in each})

    async def patterns(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[HeldPatterns]:
        """Return what the ingesters counted; see `PatternSources.patterns`.

        Raises: QuorumNotReached.
        """
        found = await self._asked(
            lambda source: source.patterns(
                tenant, matchers, start_ns=start_ns, end_ns=end_ns
            )
        )
        return tuple(found.values())

    async def _asked(
        self, call: Callable[[ReadSource], Awaitable[T]], *, all_of: bool = False
    ) -> dict[str, T]:
        """Return the answers that make a read whole, by instance.

        Args:
            all_of: whether those beyond are worth a short wait.

        Raises: QuorumNotReached.
        """
        read_set = self._ring.read_set()
        suspects = self._suspects_in(read_set)
        if suspects:
            tracker = self._tracker_of(read_set)
            for name in suspects:
                tracker.fail(name, InstanceLost(name, "was lost a moment ago"))
            if tracker.outcome is not ReadOutcome.LOST:
                found = await self._ask(read_set, tracker, call, all_of=all_of)
                if tracker.outcome is ReadOutcome.WHOLE:
                    return found
        tracker = self._tracker_of(read_set)
        found = await self._ask(read_set, tracker, call, all_of=all_of)
        if tracker.outcome is not ReadOutcome.WHOLE:
            raise QuorumNotReached(tracker.reason_lost())
        return found

    async def _ask(
        self,
        read_set: ReadSet,
        tracker: ReadTracker,
        call: Callable[[ReadSource], Awaitable[T]],
        *,
        all_of: bool,
    ) -> dict[str, T]:
        """Return the answers up to the moment at which the outcome is known.

        Raises: RequestRejected where an instance refused the question itself.
        """
        spare = () if all_of else self._spare_of(read_set, tracker)
        tasks = {
            asyncio.ensure_future(call(self._client_of(instance))): instance
            for instance in read_set.asked
            if instance.instance_id not in tracker.failed and instance not in spare
        }
        open_tasks = set(tasks)
        found: dict[str, T] = {}
        try:
            while open_tasks and tracker.outcome is ReadOutcome.PENDING:
                done, open_tasks = await asyncio.wait(
                    open_tasks,
                    timeout=SPARE_S if spare else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if spare and (not done or any(map(_has_failed, done))):
                    late = {
                        asyncio.ensure_future(call(self._client_of(one))): one
                        for one in spare
                    }
                    spare = ()
                    tasks |= late
                    open_tasks |= late.keys()
                for task in done:
                    _note(task, tasks[task].instance_id, tracker, found)
            if all_of and open_tasks and tracker.outcome is ReadOutcome.WHOLE:
                done, open_tasks = await asyncio.wait(open_tasks, timeout=SPARE_S)
                well = [task for task in done if not _has_failed(task)]
                found |= {tasks[task].instance_id: task.result() for task in well}
        finally:
            for task in open_tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found

    def _spare_of(
        self, read_set: ReadSet, tracker: ReadTracker
    ) -> tuple[InstanceDesc, ...]:
        """Return those that need not be asked unless others fail or are slow.

        In turns one instance, or one zone.
        """
        candidates = [i for i in read_set.asked if i.instance_id not in tracker.failed]
        domains = sorted({self._domain_of(i) for i in candidates})
        if len(domains) < 2:
            return ()
        self._turn += 1
        spared = domains[self._turn % len(domains)]
        without = self._tracker_of(read_set)
        for name, error in tracker.failed.items():
            without.fail(name, error)
        for instance in candidates:
            if self._domain_of(instance) != spared:
                without.answer(instance.instance_id)
        if without.outcome is not ReadOutcome.WHOLE:
            return ()
        return tuple(i for i in candidates if self._domain_of(i) == spared)

    def _domain_of(self, instance: InstanceDesc) -> str:
        return instance.zone if self._zone_aware else instance.instance_id

    def _once(self, count: int, answers_count: int) -> int:
        """Return what a count over replicas comes to without the repetition."""
        return -(-count // max(min(self._replication_factor, answers_count), 1))

    def _skipped_once(self, found: Sequence[Selection], other_replicas: int) -> Skipped:
        """Return what one of each set of replicas passed over."""
        total = Skipped.total_of(each.skipped for each in found)
        return Skipped(
            self._once(total.outside_time, len(found)),
            self._once(total.other_streams, len(found)),
            self._once(total.held_locally, len(found)),
            other_replicas,
        )

    def _suspects_in(self, read_set: ReadSet) -> list[str]:
        now_ns = self._clock.monotonic_ns()
        self._suspects = {n: u for n, u in self._suspects.items() if u > now_ns}
        return [
            i.instance_id for i in read_set.asked if i.instance_id in self._suspects
        ]

    def _tracker_of(self, read_set: ReadSet) -> ReadTracker:
        return ReadTracker(read_set, self._replication_factor, self._zone_aware)


def _note(
    task: "asyncio.Future[T]", name: str, tracker: ReadTracker, found: dict[str, T]
) -> None:
    """Note what came of a question to one instance.

    Raises: RequestRejected.
    """
    try:
        found[name] = task.result()
    except RequestRejected:
        raise
    except LokiError as error:
        tracker.fail(name, error)
    else:
        tracker.answer(name)


def _has_failed(task: "asyncio.Future[T]") -> bool:
    return task.exception() is not None


async def _units_of(selections: Sequence[Selection]) -> tuple[list[ScanUnit], int]:
    """Return the units of all; shared out where it is known how replicas compare.

    Beside them: of how many chunks no unit is, because an equal replica answers.
    """
    holding = [each for each in selections if each.units]
    if len(holding) > 1 and all(each.cells is not None for each in holding):
        return await asyncio.to_thread(_shared_out, holding)
    return [unit for each in holding for unit in each.units], 0


def _shared_out(selections: Sequence[Selection]) -> tuple[list[ScanUnit], int]:
    replicas = []
    for each in selections:
        cells = None if each.cells is None else each.cells(CELLS_MAX)
        if cells is None:
            return [unit for each in selections for unit in each.units], 0
        replicas.append(Replica(each.units, each.streams, cells))
    units = shared_out(replicas)
    matched = sum(each.chunks_matched for each in selections)
    return units, max(matched - sum(map(chunks_of, units)), 0)
