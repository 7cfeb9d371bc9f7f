"""Seal generations and cut them into block files, one after the other.

Owns one task. A cut that fails (a full disk, as a rule) is tried again until it
works; meanwhile its entries stay in memory and in the WAL, and once
SEALED_MAX generations wait, `room` makes pushes wait and then refuses them.
"""

import asyncio
from collections.abc import Callable

from loki_py.chunks.blocks import BlockFileHeader
from loki_py.errors import Overloaded
from loki_py.ingester.blockstore import BlockStore, LocalFile, TenantPart
from loki_py.ingester.cut import (
    CutResult,
    HeadSnapshot,
    encode_generation,
    snapshots_of,
)
from loki_py.ingester.generation import SEALED_MAX, Generation
from loki_py.ingester.metrics import IngesterMetrics
from loki_py.ingester.state import IngesterState
from loki_py.runtime.logs import logger_of
from loki_py.wal.log import Log

ROOM_WAIT_SECONDS_MAX = 10.0
"""How long a push waits for a cut before it is refused."""

RETRY_SECONDS = 1.0

log = logger_of("ingester")


class Cutter:
    """Moves entries from heads to block files. Called on the event loop."""

    def __init__(
        self,
        state: IngesterState,
        wal: Log,
        blocks: BlockStore,
        metrics: IngesterMetrics,
        *,
        instance_id: str,
        block_bytes: int,
    ) -> None:
        self._state = state
        self._wal = wal
        self._blocks = blocks
        self._metrics = metrics
        self._instance_id = instance_id
        self._block_bytes = block_bytes
        self._sealed = asyncio.Event()
        self._freed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self.trouble = ""

    def start(self) -> None:
        """Begin to cut what is sealed, and what a replay has left sealed."""
        self._sealed.set()
        self._task = asyncio.create_task(self._run(), name="ingester-cutter")

    async def stop(self) -> None:
        """Try once more to cut what is sealed, then end; the WAL keeps the rest."""
        assert self._task is not None
        self._stopping = True
        self._sealed.set()
        await self._task
        if self._state.sealed:
            log.warning("entries stay in the WAL", reason=self.trouble)

    def seal(self) -> None:
        """Close the open generation, where it holds anything, and begin another."""
        generation = self._state.open
        if not generation.created_ns:
            return
        generation.segment_last = self._wal.rotate()
        self._state.sealed.append(generation)
        self._state.open = Generation(generation.number + 1)
        self._sealed.set()

    async def room(self) -> None:
        """Return once fewer than SEALED_MAX generations wait to be cut.

        Raises: Overloaded after ROOM_WAIT_SECONDS_MAX.
        """
        if len(self._state.sealed) < SEALED_MAX:
            return
        await self._wait(lambda: len(self._state.sealed) < SEALED_MAX)

    async def drained(self) -> None:
        """Return once nothing that is sealed now waits to be cut.

        Raises: Overloaded after ROOM_WAIT_SECONDS_MAX.
        """
        last = self._state.open.number
        await self._wait(lambda: all(g.number >= last for g in self._state.sealed))

    async def _wait(self, is_done: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(ROOM_WAIT_SECONDS_MAX):
                while not is_done():
                    await self._freed.wait()
        except TimeoutError:
            raise Overloaded(
                f"{len(self._state.sealed)} sealed generations of "
                f"{self._state.head_bytes} bytes wait for the local disk; limit is "
                f"{SEALED_MAX}: {self.trouble or 'it is slow'}"
            ) from None

    async def _run(self) -> None:
        """Cut until stopped; a thread that writes is never left behind."""
        while not self._stopping:
            await self._sealed.wait()
            self._sealed.clear()
            while self._state.sealed and await self._try_cut():
                pass

    async def _try_cut(self) -> bool:
        """Cut the oldest sealed generation; return whether to go on at once."""
        try:
            await self._cut(self._state.sealed[0])
        except OSError as error:
            self._metrics.cut_failures.inc()
            self.trouble = str(error)
            log.warning("cut failed, will be tried again", reason=str(error))
            if not self._stopping:
                await asyncio.sleep(RETRY_SECONDS)
            return not self._stopping
        self.trouble = ""
        return True

    async def _cut(self, generation: Generation) -> None:
        assert generation.segment_last is not None
        snapshots = snapshots_of(generation, self._state.tables)
        result = CutResult()
        local = await asyncio.to_thread(self._write, generation, snapshots, result)
        self._settle(generation, local, result)
        self._freed.set()
        self._freed = asyncio.Event()
        await asyncio.to_thread(self._wal.delete_through, generation.segment_last)

    def seal_replayed(self, generation: Generation, segment_last: int) -> Generation:
        """Seal what a replay filled, as while serving; return the next generation.

        Where too many wait, the oldest is cut at once. Blocking; for the time
        before `start`, when nothing else runs. Raises: OSError.
        """
        sealed = self._state.sealed
        if len(sealed) >= SEALED_MAX:
            snapshots, result = snapshots_of(sealed[0], self._state.tables), CutResult()
            local = self._write(sealed[0], snapshots, result)
            self._settle(sealed[0], local, result)
        generation.segment_last = segment_last
        sealed.append(generation)
        return Generation(generation.number + 1)

    def _settle(
        self, generation: Generation, local: LocalFile, result: CutResult
    ) -> None:
        """Have the block file stand for the generation's heads."""
        register(local, self._blocks, self._state)
        self._state.sealed.remove(generation)
        for tenant, head in generation.heads.items():
            self._state.tables[tenant].holders[head.refs()] -= 1
        self._metrics.cuts.inc()
        self._metrics.duplicates.inc(result.duplicates)

    def _write(
        self, generation: Generation, snapshots: list[HeadSnapshot], result: CutResult
    ) -> LocalFile:
        """Write one block file. Blocking; for worker threads. Raises: OSError."""
        assert generation.segment_last is not None
        number = generation.number
        header = BlockFileHeader(self._instance_id, number, generation.segment_last)
        return self._blocks.write(
            number,
            encode_generation(header, snapshots, result, block_bytes=self._block_bytes),
        )


def register(local: LocalFile, blocks: BlockStore, state: IngesterState) -> None:
    """Add an open block file to the store and its streams to the tables."""
    for tenant in local.file.tenants:
        table = state.table_of(tenant)
        refs = table.refs_of(local.file.streams(tenant), now_ns=local.created_ns)
        runs = local.file.stream_runs(tenant)
        table.note_times(refs[runs.stream], runs.min_ns, runs.max_ns)
        table.holders[refs] += 1
        extent = local.file.extent(tenant)
        local.parts[tenant] = TenantPart(refs, extent.line_bytes)
        state.appended_ns[tenant] = max(
            state.appended_ns.get(tenant, 0), local.created_ns
        )
    blocks.files[local.generation] = local
