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
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from loki_py.errors import LokiError, QuorumNotReached, RequestRejected
from loki_py.logql.question import LeafQuestion
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.scan import Scan, ScanUnit, Skipped
from loki_py.querier.likeness import Likeness
from loki_py.querier.remembered import FlushedTenants, Suspects
from loki_py.querier.replica_units import (
    answered_for,
    are_alike,
    favoured_of,
    shared_units,
)
from loki_py.ring.desc import InstanceDesc
from loki_py.ring.replication import ReadOutcome, ReadSet, ReadTracker
from loki_py.runtime.clock import Clock
from loki_py.transport.abc import (
    InstanceLost,
    QuestionedSource,
    Selection,
    SurveyedSource,
)
from loki_py.transport.pattern_source import HeldPatterns, ReadSource
from loki_py.wire.cells import CELLS_MAX

T = TypeVar("T")

SPARE_S = 0.05
"""How long others may take before those are asked that were not needed so far."""

FAVOURED_S = 0.75
"""How long the one that is to answer for all may take longer than others."""


class ReadRing(Protocol):
    """What is asked of the ring of ingesters."""

    def read_set(self) -> ReadSet: ...


class ReplicatedSource(QuestionedSource):
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
        self._suspects = Suspects()
        self._flushed = FlushedTenants()
        self._likeness = Likeness()
        self._turn = 0

    def suspect(self, instance_id: str) -> None:
        """Leave an instance out for a while, where reads are whole without it."""
        self._suspects.add(instance_id, self._clock.monotonic_ns())

    async def select(self, tenant: str, scan: Scan) -> Selection:
        """Return what the ingesters hold; replicas' units have origins apart.

        Raises: QuorumNotReached.
        """
        answers = await self._asked(
            lambda one: self._client_of(one).select(tenant, scan),
            all_of=tenant in self._flushed,
        )
        if self._is_flushed_anew(tenant, answers):
            return await self.select(tenant, scan)
        found = [answers[name] for name in sorted(answers)]
        units, other_replicas = await _units_of(found)
        return self._joined(answers, units, other_replicas)

    async def select_for(
        self, tenant: str, scan: Scan, question: LeafQuestion, *, stops_early: bool
    ) -> Selection:
        """Return the same; a single one is asked for units where all are alike.

        Raises: QuorumNotReached.
        """
        now_ns = self._clock.monotonic_ns()
        favoured = self._favoured(tenant, scan, now_ns)
        if not favoured:
            return await self.select(tenant, scan)

        async def asked(instance: InstanceDesc) -> Selection:
            source = self._client_of(instance)
            if instance.instance_id != favoured:
                return await _surveyed(source, tenant, scan)
            if isinstance(source, QuestionedSource):
                return await source.select_for(
                    tenant, scan, question, stops_early=stops_early
                )
            return await _with_cells(await source.select(tenant, scan))

        answers = await self._asked(
            asked, all_of=tenant in self._flushed, favoured=favoured
        )
        if self._is_flushed_anew(tenant, answers):
            return await self.select(tenant, scan)
        own = answers.get(favoured)
        is_alike = own is not None and are_alike(own, list(answers.values()))
        self._likeness.note(tenant, now_ns, alike=is_alike)
        if own is None or not is_alike:
            return await self.select(tenant, scan)
        as_own = {
            name: replace(each, chunks_matched=own.chunks_matched, skipped=own.skipped)
            for name, each in answers.items()
        }
        others = (len(answers) - 1) * own.chunks_matched
        return self._joined(as_own, answered_for(own), others)

    def _favoured(self, tenant: str, scan: Scan, now_ns: int) -> str:
        """Return who is to answer for all, "" where that is not likely to be right."""
        read_set = self._ring.read_set()
        count = len(read_set.asked) + len(read_set.missing)
        # Where there are more, nobody holds everything.
        if count > self._replication_factor:
            return ""
        if not self._likeness.is_likely(tenant, now_ns):
            return ""
        names = sorted(i.instance_id for i in read_set.asked)
        return favoured_of(names, self._suspects.at(now_ns), tenant, scan)

    def _is_flushed_anew(self, tenant: str, answers: Mapping[str, Selection]) -> bool:
        """Return whether all are to be asked that were not.

        What those cover that were not asked is not known, and would be read twice.
        """
        is_flushed = any(each.packs_covered for each in answers.values())
        return self._flushed.note(tenant, is_flushed=is_flushed)

    def _joined(
        self,
        answers: Mapping[str, Selection],
        units: Sequence[ScanUnit],
        other_replicas: int,
    ) -> Selection:
        found = list(answers.values())
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
            lambda one: self._client_of(one).series(
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
            lambda one: self._client_of(one).patterns(
                tenant, matchers, start_ns=start_ns, end_ns=end_ns
            )
        )
        return tuple(found.values())

    async def _asked(
        self,
        call: Callable[[InstanceDesc], Awaitable[T]],
        *,
        all_of: bool = False,
        favoured: str = "",
    ) -> dict[str, T]:
        """Return the answers that make a read whole, by instance.

        Args:
            all_of: whether those beyond are worth a short wait.
            favoured: whose answer is worth a longer one.

        Raises: QuorumNotReached.
        """
        read_set = self._ring.read_set()
        suspects = self._suspects_in(read_set)
        if suspects:
            tracker = self._tracker_of(read_set)
            for name in suspects:
                tracker.fail(name, InstanceLost(name, "was lost a moment ago"))
            if tracker.outcome is not ReadOutcome.LOST:
                found = await self._ask(
                    read_set, tracker, call, all_of=all_of, favoured=favoured
                )
                if tracker.outcome is ReadOutcome.WHOLE:
                    return found
        tracker = self._tracker_of(read_set)
        found = await self._ask(
            read_set, tracker, call, all_of=all_of, favoured=favoured
        )
        if tracker.outcome is not ReadOutcome.WHOLE:
            raise QuorumNotReached(tracker.reason_lost())
        return found

    async def _ask(
        self,
        read_set: ReadSet,
        tracker: ReadTracker,
        call: Callable[[InstanceDesc], Awaitable[T]],
        *,
        all_of: bool,
        favoured: str,
    ) -> dict[str, T]:
        """Return the answers up to the moment at which the outcome is known.

        Raises: RequestRejected where an instance refused the question itself.
        """
        spare = () if all_of else self._spare_of(read_set, tracker, favoured)
        in_order = sorted(read_set.asked, key=lambda i: i.instance_id != favoured)
        tasks = {
            asyncio.ensure_future(call(instance)): instance
            for instance in in_order
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
                    late = {asyncio.ensure_future(call(one)): one for one in spare}
                    spare = ()
                    tasks |= late
                    open_tasks |= late.keys()
                for task in done:
                    _note(task, tasks[task].instance_id, tracker, found)
            if tracker.outcome is ReadOutcome.WHOLE:
                by_name = {tasks[task].instance_id: task for task in open_tasks}
                if favoured in by_name:
                    await asyncio.wait({by_name[favoured]}, timeout=FAVOURED_S)
                if all_of and by_name:
                    await asyncio.wait(open_tasks, timeout=SPARE_S)
                for name, task in by_name.items():
                    if task.done() and not _has_failed(task):
                        found[name] = task.result()
        finally:
            await _end(tasks)
        return found

    def _spare_of(
        self, read_set: ReadSet, tracker: ReadTracker, favoured: str
    ) -> tuple[InstanceDesc, ...]:
        """Return those that need not be asked unless others fail or are slow.

        In turns one instance, or one zone; never that of the favoured one.
        """
        candidates = [i for i in read_set.asked if i.instance_id not in tracker.failed]
        own = {self._domain_of(i) for i in candidates if i.instance_id == favoured}
        domains = sorted({self._domain_of(i) for i in candidates} - own)
        if len(domains) + len(own) < 2:
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
        suspects = self._suspects.at(self._clock.monotonic_ns())
        return [i.instance_id for i in read_set.asked if i.instance_id in suspects]

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


async def _end(tasks: "Collection[asyncio.Future[T]]") -> None:
    """Have what is still at work come to its end; what failed is known already."""
    waiting = [task for task in tasks if not task.done()]
    for task in waiting:
        task.cancel()
    if waiting:
        await asyncio.wait(waiting)
    for task in tasks:
        task.cancelled() or task.exception()


def _has_failed(task: "asyncio.Future[T]") -> bool:
    return task.exception() is not None


async def _units_of(selections: Sequence[Selection]) -> tuple[list[ScanUnit], int]:
    """Return the units of all; shared out where it is known how replicas compare.

    Beside them: of how many chunks no unit is, because an equal replica answers.
    """
    holding = [each for each in selections if each.units]
    if len(holding) > 1 and all(each.cells is not None for each in holding):
        return await asyncio.to_thread(shared_units, holding)
    return [unit for each in holding for unit in each.units], 0


async def _surveyed(source: ReadSource, tenant: str, scan: Scan) -> Selection:
    """Return what a source holds, with units only if it cannot tell without."""
    if not isinstance(source, SurveyedSource):
        return await _with_cells(await source.select(tenant, scan))
    found = await source.survey(tenant, scan)
    # What lies elsewhere told its cells.
    is_here = not isinstance(source, QuestionedSource)
    return await _with_cells(found) if is_here else found


async def _with_cells(found: Selection) -> Selection:
    """Return the selection with its cells at hand."""
    if found.cells is None:
        return found
    if found.cells_counted:
        cells = found.cells(CELLS_MAX)
    else:
        cells = await asyncio.to_thread(found.cells, CELLS_MAX)
    return replace(found, cells=lambda _: cells)
