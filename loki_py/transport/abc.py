"""What components may ask of each other, in one process or across many."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from loki_py.errors import LokiError, Unavailable
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher
from loki_py.model.scan import NOTHING_SKIPPED, ReadStats, Scan, ScanUnit, Skipped
from loki_py.wire.cells import Cells
from loki_py.wire.digests import Digests

if TYPE_CHECKING:
    from loki_py.logql.question import LeafQuestion


class InstanceLost(Unavailable):
    """An instance did not answer, or not to the end; others may hold the same.

    Attributes:
        instance_id: which one.
    """

    def __init__(self, instance_id: str, why: str) -> None:
        super().__init__(f"ingester {instance_id}: {why}")
        self.instance_id = instance_id


@dataclass(frozen=True, slots=True)
class Discard:
    """Entries of a stream that were refused for one reason, as metrics name it.

    Attributes:
        stream: position in the batch's `streams`; -1 where nobody said.
    """

    reason: str
    entries_count: int
    bytes: int
    stream: int = -1


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """What an ingester did with a batch.

    Attributes:
        rejected: position in the batch's `streams` to why (some of) its
            entries were refused; everything not refused is durable.
        discards: how much was refused, by stream and reason.
    """

    rejected: Mapping[int, LokiError] = field(default_factory=dict)
    discards: Sequence[Discard] = ()


class DigestedUnit(ABC):
    """A unit that lies elsewhere, and can be compared without its lines.

    The numbers are those of the rows, in the order in which a read of the scan's
    columns returns them.
    """

    @property
    @abstractmethod
    def digest_kind(self) -> str:
        """Numbers of one kind can be compared."""

    @abstractmethod
    def digests(self) -> Digests:
        """Return the number of each entry.

        Blocking; called on worker threads.

        Raises: Unavailable.
        """


class MappingUnit(ABC):
    """A unit that lies elsewhere, where its rows may be evaluated."""

    @property
    @abstractmethod
    def maps(self) -> bool:
        """Whether they can be; else the unit is only read."""

    def knows(self, question: "LeafQuestion") -> bool:  # noqa: ARG002
        """Return whether `mapped` has its answer at hand: little, and nobody waits."""
        return False

    @abstractmethod
    def mapped(self, question: "LeafQuestion", stats: ReadStats) -> Sequence[Any]:
        """Return what the leaf's evaluator makes of the rows, to be added in order.

        Blocking; called on worker threads.

        Raises: Unavailable.
        """


@dataclass(frozen=True, slots=True)
class Selection:
    """The readable pieces that an ingester holds for a scan.

    Attributes:
        units: in the scan's order.
        packs_covered: keys of packs all of whose entries the units hold, so
            that the reader must not read those packs too.
        chunks_matched: chunks that matched streams and time.
        missing: what the ingester once held and cannot read any more, in words.
        streams: the label sets that cells refer to.
        cells: what the units hold, in sums, to compare replicas by; None where
            they must be compared by their entries. Takes how many there may be,
            unless there are more streams. Blocking.
        cells_counted: whether the cells are known already and few, so that to ask
            for them on an event loop is cheaper than on a thread.
        ingesters_count: how many answered.
        skipped: chunks that are held and in no unit.
    """

    units: Sequence[ScanUnit]
    packs_covered: frozenset[str] = frozenset()
    chunks_matched: int = 0
    missing: tuple[str, ...] = ()
    streams: Sequence[LabelSet] = ()
    cells: Callable[[int], Cells | None] | None = None
    cells_counted: bool = False
    ingesters_count: int = 1
    skipped: Skipped = NOTHING_SKIPPED


class EntrySink(Protocol):
    """One ingester, or all of them, as a distributor sees it."""

    async def push(self, tenant: str, batch: EntryBatch) -> PushAnswer:
        """Store the batch; returns once what is accepted is on disk, fsynced.

        Raises: Unavailable where nothing of the batch was accepted.
        """
        ...


class EntrySource(Protocol):
    """One ingester, or all of them, as a querier sees it."""

    async def select(self, tenant: str, scan: Scan) -> Selection:
        """Return what matches the scan and is not (only) in object storage."""
        ...

    async def series(
        self, tenant: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> Sequence[LabelSet]:
        """Return the label sets of matching streams with entries in the interval.

        No matchers select every stream.
        """
        ...


class QuestionedSource(ABC):
    """A source that may answer a question while it is asked what it holds."""

    @abstractmethod
    async def select_for(
        self, tenant: str, scan: Scan, question: "LeafQuestion", *, stops_early: bool
    ) -> Selection:
        """Return what `select` returns; some units may know their answer already.

        Args:
            question: what the units will be asked.
            stops_early: whether the first few of them may suffice.
        """


class SurveyedSource(ABC):
    """A source that can tell what it holds for less than it takes to read it."""

    @abstractmethod
    async def survey(self, tenant: str, scan: Scan) -> Selection:
        """Return what `select` returns, without units, and with cells if it can."""


class IngesterClient(EntrySink, EntrySource, Protocol):
    """One ingester."""

    async def flush(self) -> None:
        """Write everything held to object storage; returns when it is durable.

        Raises: Unavailable where the object store refuses.
        """
        ...
