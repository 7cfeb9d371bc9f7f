"""Pushes that wait together go together: one group costs little more than one push.

While a group is on its way to the disk, pushes that come gather for the next one.
A group may also wait for a moment, where the last one had company: clients that
were answered together send again together.

Owns the tasks that groups run in; each ends with its group. For one event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from loki_py.model.batch import EntryBatch

ROWS_MAX = 2_000
"""Entries of a push that may go in company; one of more goes alone at once."""
BYTES_MAX = 512 << 10
"""The same for the bytes of its lines and metadata."""
GROUP_ROWS_MAX = 8_000
"""So many entries wait for nobody."""
GROUP_BYTES_MAX = 4 << 20
"""Nor do so many bytes of lines and metadata."""
LINGER_SECONDS = 0.001
"""How long a group waits for as many pushes as the one before it had."""
LANES_MAX = 1_000
"""Keys whose last group is remembered."""

Key = TypeVar("Key", bound=Hashable)
Outcome: TypeAlias = Exception | None
Run: TypeAlias = Callable[[Key, Sequence[EntryBatch]], Awaitable[Sequence[Outcome]]]


@dataclass(slots=True)
class _Lane:
    """What waits under one key.

    Attributes:
        batches, done: the pushes that wait, and who is told.
        rows, bytes: entries of them together, and their lines and metadata.
        running: groups on their way.
        company: pushes of the last group and those that came meanwhile; their
            clients may all have a push for the next one, which waits for them.
        timer: ends that wait.
    """

    batches: list[EntryBatch] = field(default_factory=list)
    done: list["asyncio.Future[None]"] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    running: int = 0
    company: int = 1
    timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        return not (self.batches or self.running)


def is_small(batch: EntryBatch) -> bool:
    """Return whether a push may go in company."""
    return len(batch) <= ROWS_MAX and _bytes_of(batch) <= BYTES_MAX


def _bytes_of(batch: EntryBatch) -> int:
    return batch.total_line_bytes() + batch.total_metadata_bytes()


class PushGroups(Generic[Key]):
    """Gathers pushes of one key and hands each group to `run`.

    Args:
        run: stores a group; tells for each push what became of it. What it
            raises becomes of all of them.
    """

    def __init__(self, run: Run[Key]) -> None:
        self._run = run
        self._lanes: dict[Key, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def push(self, key: Key, batch: EntryBatch) -> None:
        """Return once the push is stored.

        Raises: what became of it.
        """
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._new_lane(key)
        done = asyncio.get_running_loop().create_future()
        lane.batches.append(batch)
        lane.done.append(done)
        lane.rows += len(batch)
        lane.bytes += _bytes_of(batch)
        self._advance(key, lane)
        await done

    def _new_lane(self, key: Key) -> _Lane:
        if len(self._lanes) >= LANES_MAX:
            kept = {k: lane for k, lane in self._lanes.items() if not lane.is_idle}
            self._lanes = kept
        lane = self._lanes[key] = _Lane()
        return lane

    def _advance(self, key: Key, lane: _Lane) -> None:
        """Let what waits go, or see to it that it goes later."""
        is_full = lane.rows >= GROUP_ROWS_MAX or lane.bytes >= GROUP_BYTES_MAX
        if lane.running and not is_full:
            return
        if is_full or len(lane.batches) >= lane.company:
            self._start(key, lane)
        elif lane.timer is None:
            loop = asyncio.get_running_loop()
            lane.timer = loop.call_later(LINGER_SECONDS, self._start, key, lane)

    def _start(self, key: Key, lane: _Lane) -> None:
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        batches, done = lane.batches, lane.done
        lane.batches, lane.done, lane.rows, lane.bytes = [], [], 0, 0
        lane.running += 1
        task = asyncio.create_task(self._go(key, lane, batches, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go(
        self,
        key: Key,
        lane: _Lane,
        batches: Sequence[EntryBatch],
        done: Sequence["asyncio.Future[None]"],
    ) -> None:
        try:
            outcomes = await self._run(key, batches)
        except Exception as error:  # noqa: BLE001  # told to who waits
            outcomes = [error] * len(done)
        lane.running -= 1
        lane.company = len(batches) + len(lane.batches)
        for future, outcome in zip(done, outcomes, strict=True):
            if future.done():
                continue  # its client went away
            if outcome is None:
                future.set_result(None)
            else:
                future.set_exception(outcome)
        if lane.batches:
            self._advance(key, lane)
