"""Which instances get which streams of a push, and when it is decided.

Pure: the service sends, and brings the answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from loki_py.errors import LokiError, QuorumNotReached, RequestRejected
from loki_py.model.batch import EntryBatch
from loki_py.ring.desc import InstanceDesc
from loki_py.ring.lookup import NOBODY, Replicas, ReplicaTable, Tokens
from loki_py.ring.quorum import acks_needed

Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """What one instance gets of a push.

    Attributes:
        batch: rows of the push, with its `streams` object: positions in an
            answer are positions in the push.
        streams: bool by position in `streams`, those with rows in the part.
    """

    instance: InstanceDesc
    batch: EntryBatch
    streams: Flags


@dataclass(frozen=True, slots=True)
class Routes:
    """The parts of a push, and how many replicas each stream has.

    Attributes:
        present: bool by position in `streams`, those that have rows at all.
        chosen: int by position in `streams`, the size of its replica set.
    """

    parts: tuple[Part, ...]
    present: Flags
    chosen: Counts


def route(batch: EntryBatch, tokens: Tokens, table: ReplicaTable) -> Routes:
    """Return what goes where.

    Args:
        tokens: uint32 by position in `batch.streams`.
    """
    assert len(tokens) == len(batch.streams)
    present = np.zeros(len(tokens), np.bool_)
    present[batch.stream] = True
    replicas: Replicas = table.replicas_of(tokens)
    parts = []
    for position in np.unique(replicas[present]).tolist():
        if position == NOBODY:
            continue
        streams = present & (replicas == position).any(axis=1)
        part = batch.filter(streams[batch.stream])
        parts.append(Part(table.instances[position], part, streams))
    return Routes(tuple(parts), present, (replicas != NOBODY).sum(axis=1))


def check_enough_replicas(
    routes: Routes, *, replication_factor: int, unhealthy: Sequence[InstanceDesc]
) -> None:
    """Refuse a push before it is sent where a quorum can not be reached.

    Raises: QuorumNotReached, with Loki's text.
    """
    fewest = int(routes.chosen[routes.present].min(initial=replication_factor))
    needed = acks_needed(chosen_count=fewest, replication_factor=replication_factor)
    if fewest < needed:
        addresses = ",".join(instance.address for instance in unhealthy)
        raise QuorumNotReached(
            f"at least {needed} live replicas required, could only find {fewest} - "
            f"unhealthy instances: {addresses}"
        )


class Outcome(Enum):
    """What is known of a replicated push."""

    PENDING = "pending"
    REACHED = "reached"
    """Every stream is stored by a quorum."""
    REJECTED = "rejected"
    """All is decided, and a quorum refused some stream by a rule."""
    LOST = "lost"
    """Some stream can get neither; the client should push again."""


@dataclass(slots=True)
class QuorumTracker:
    """Decide one replicated push from the answers seen so far, per stream.

    Each part is answered once. A stream is stored when a quorum of its replicas
    stored it, rejected when a quorum refused it by a rule, lost when neither
    can happen any more. `outcome` leaves PENDING at most once, as soon as every
    stream is decided or one is lost; later answers change nothing.
    """

    routes: Routes
    replication_factor: int
    _acked: Counts = field(init=False)
    _refused: Counts = field(init=False)
    _failed: Counts = field(init=False)
    _needed: Counts = field(init=False)
    _refusals: dict[int, RequestRejected] = field(init=False, default_factory=dict)
    _failures: dict[str, LokiError] = field(init=False, default_factory=dict)
    _outcome: Outcome = field(init=False, default=Outcome.PENDING)

    def __post_init__(self) -> None:
        """Nobody answered yet."""
        count = len(self.routes.present)
        self._acked = np.zeros(count, np.int64)
        self._refused = np.zeros(count, np.int64)
        self._failed = np.zeros(count, np.int64)
        sizes = np.maximum(self.routes.chosen, self.replication_factor)
        self._needed = sizes // 2 + 1
        self._decide()

    @property
    def outcome(self) -> Outcome:
        """What is known now."""
        return self._outcome

    @property
    def refusals(self) -> Mapping[int, RequestRejected]:
        """Position in `streams` to why a quorum refused it."""
        refused = self._refused >= self._needed
        return {n: error for n, error in self._refusals.items() if refused[n]}

    @property
    def failures(self) -> Mapping[str, LokiError]:
        """Instance id to what went wrong there, without what rules refused."""
        return self._failures

    def answer(self, part: Part, rejected: Mapping[int, LokiError]) -> Outcome:
        """Note that an instance answered, with the streams that it refused."""
        self._acked += part.streams
        for position, error in rejected.items():
            self._acked[position] -= 1
            if isinstance(error, RequestRejected):
                self._refused[position] += 1
                self._refusals.setdefault(position, error)
            else:
                self._failed[position] += 1
                self._failures.setdefault(part.instance.instance_id, error)
        return self._decide()

    def fail(self, part: Part, error: LokiError) -> Outcome:
        """Note that an instance stored nothing, or that nobody knows."""
        if isinstance(error, RequestRejected):
            refused = dict.fromkeys(np.flatnonzero(part.streams).tolist(), error)
            return self.answer(part, refused)
        self._failed += part.streams
        self._failures[part.instance.instance_id] = error
        return self._decide()

    def error(self) -> LokiError:
        """Return what to tell the client of a push that is LOST."""
        reasons = [
            f"{name}: {str(why).removeprefix(f'ingester {name}: ')}"
            for name, why in self._failures.items()
        ]
        told = ", ".join(reasons or map(str, self._refusals.values()))
        present = self.routes.present
        fewest = int(self.routes.chosen[present].min())
        away = self.replication_factor - fewest
        missing = f", {away} of which the ring does not have" if away > 0 else ""
        return QuorumNotReached(
            f"{int((self._is_lost() & present).sum())} of {int(present.sum())} streams "
            f"were not stored by a quorum of {self.replication_factor} replicas"
            f"{missing}: {told}"
        )

    def _is_lost(self) -> Flags:
        answered = self._acked + self._refused + self._failed
        open_count = self.routes.chosen - answered
        lost: Flags = (self._acked + open_count < self._needed) & (
            self._refused + open_count < self._needed
        )
        return lost

    def _decide(self) -> Outcome:
        if self._outcome is not Outcome.PENDING:
            return self._outcome
        present = self.routes.present
        stored = self._acked >= self._needed
        refused = self._refused >= self._needed
        if (self._is_lost() & present).any():
            self._outcome = Outcome.LOST
        elif (stored | refused)[present].all():
            has_refused = bool(refused[present].any())
            self._outcome = Outcome.REJECTED if has_refused else Outcome.REACHED
        return self._outcome
