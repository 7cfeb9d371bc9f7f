"""Let other processes read an ingester: selections, their units, what plans make.

Owns a pool of threads for reading, and the sessions of those who read.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from loki_py.errors import CorruptData
from loki_py.model.scan import ReadStats, ScanUnit, Skipped
from loki_py.runtime.clock import Clock
from loki_py.transport.abc import EntrySource, Selection
from loki_py.transport.outbox import Outbox
from loki_py.transport.partials import question_of
from loki_py.transport.read_unit import (
    LeafRunner,
    read_digests,
    read_pieces,
    share_of,
)
from loki_py.transport.sessions import Distinct, Session, Sessions
from loki_py.transport.tenants import check_tenant
from loki_py.wire import messages as wire
from loki_py.wire.cells import CELLS_MAX, Cells
from loki_py.wire.digests import KIND
from loki_py.wire.messages import decode_message, encode_message
from loki_py.wire.messages_select import (
    cells_behind,
    columns_of,
    describe_units,
    scan_of,
)

READ_THREADS = 2
READS_MAX = 8
"""Units that are in memory to be sent, at once."""

Call: TypeAlias = Any


class ReadCalls:
    """The calls that read. Used on one event loop; start before, stop after calls.

    Args:
        distinct: from units to as many that hold no entry twice.
        leaves: evaluates them; closed by `stop`.
    """

    def __init__(
        self,
        ingester: EntrySource,
        *,
        clock: Clock,
        distinct: Distinct,
        leaves: LeafRunner,
    ) -> None:
        self._ingester = ingester
        self._distinct = distinct
        self._leaves = leaves
        self.sessions = Sessions(clock)
        self._reads = asyncio.Semaphore(READS_MAX)
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Make the threads."""
        self._pool = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="grpc-read")

    async def stop(self) -> None:
        """Wait for the threads."""
        assert self._pool is not None
        await asyncio.to_thread(self._pool.shutdown)
        await asyncio.to_thread(self._leaves.close)

    async def select(self, data: bytes, _call: Call) -> bytes:
        """Keep what matches a scan for reading, and describe it."""
        asked, _ = decode_message(data, wire.SelectAsked)
        check_tenant(asked.tenant)
        scan = scan_of(asked)
        found = await self._ingester.select(asked.tenant, scan)
        covered = sorted(found.packs_covered)
        missing = list(found.missing)
        if not found.units:
            told = wire.SelectAnswered(
                "",
                found.chunks_matched,
                covered,
                missing=missing,
                skipped=_counts_told(found.skipped),
            )
            return encode_message(told)
        loop = asyncio.get_running_loop()
        cells = None
        if asked.cells:
            cells = await loop.run_in_executor(self._pool, _cells_of, found)
        streams = found.units[0].streams
        session = self.sessions.open(asked.tenant, scan, found.units, streams)
        tables, units, payload = describe_units(found.units)
        told = wire.SelectAnswered(
            session,
            found.chunks_matched,
            covered,
            tables,
            units,
            KIND,
            wire.PLANS,
            -1 if cells is None else len(cells),
            0 if cells is None else cells.shift,
            missing,
            _counts_told(found.skipped),
        )
        return encode_message(told, [*payload, *cells_behind(cells)])

    async def read(self, data: bytes, _call: Call) -> AsyncIterator[bytes]:
        """Send the rows of a unit, in pieces."""
        asked, behind = decode_message(data, wire.ReadAsked)
        unit, literals = await self._unit_of(asked, behind)
        columns = columns_of(asked.columns)
        loop = asyncio.get_running_loop()
        async with self._reads:
            stats = ReadStats()
            pieces = read_pieces(unit, columns, literals, stats)
            first = True
            while (
                piece := await loop.run_in_executor(self._pool, next, pieces, None)
            ) is not None:
                shape, payload = piece
                told = _counts_told(stats) if first else {}
                first = False
                yield encode_message(wire.ReadAnswered(shape, told), payload.pieces)

    async def digests(self, data: bytes, _call: Call) -> bytes:
        """Tell the numbers of the rows that a read of the unit's lines sends."""
        asked, behind = decode_message(data, wire.DigestsAsked)
        unit, literals = await self._unit_of(asked, behind)
        loop = asyncio.get_running_loop()
        async with self._reads:
            found = await loop.run_in_executor(self._pool, read_digests, unit, literals)
        columns = [found.keys.tobytes(), found.timestamp_ns.tobytes()]
        return encode_message(wire.DigestsAnswered(len(found)), columns)

    async def map(self, data: bytes, _call: Call) -> AsyncIterator[bytes]:
        """Send what a plan makes of the rows of some units, in order."""
        asked, behind = decode_message(data, wire.MapAsked)
        session = self.sessions.find(asked.tenant, asked.session)
        shares = await self._shares_of(session, asked.share, behind)
        units = [shares[number] for number in asked.units if number in shares]
        outbox = Outbox(asyncio.get_running_loop())
        async with self._reads:
            work = asyncio.ensure_future(
                self._leaves.run(units, question_of(asked.question), outbox.take)
            )
            work.add_done_callback(outbox.end)
            try:
                while (message := await outbox.next()) is not None:
                    yield message
                yield outbox.last(_counts_told(await work))
            finally:
                work.cancel()

    async def release(self, data: bytes, _call: Call) -> bytes:
        """Forget sessions."""
        asked, _ = decode_message(data, wire.ReleaseAsked)
        for session in (asked.session, *asked.more):
            self.sessions.release(session)
        return encode_message(wire.Done())

    async def _unit_of(
        self, asked: wire.ReadAsked | wire.DigestsAsked, behind: memoryview
    ) -> tuple[ScanUnit, Sequence[str]]:
        """Return a unit of a session, and what its lines must contain.

        Raises: SessionGone, TenantInvalid, CorruptData.
        """
        session = self.sessions.find(asked.tenant, asked.session)
        literals = session.scan.literals if session.scan.columns.line else ()
        if asked.share is None:
            if not 0 <= asked.unit < len(session.units):
                raise CorruptData(f"session has no unit {asked.unit}")
            return session.units[asked.unit], literals
        shares = await self._shares_of(session, asked.share, behind)
        mine = shares.get(asked.unit)
        if mine is None:
            raise CorruptData(f"unit {asked.unit} has no row in the share")
        return mine, literals

    async def _shares_of(
        self, session: Session, asked: wire.ShareAsked, bits: memoryview
    ) -> Mapping[int, ScanUnit]:
        """Return the units' shares, which hold no entry twice, by number.

        Raises: CorruptData.
        """
        share = share_of(asked, bits, session.streams)
        key = share.spans, bytes(bits)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, session.shared, share, key, self._distinct
        )


def _cells_of(found: Selection) -> Cells | None:
    """Return the cells of a selection all of whose units share a table. Blocks."""
    if found.cells is None:
        return None
    if any(unit.streams is not found.streams for unit in found.units):
        return None
    return found.cells(CELLS_MAX)


def _counts_told(counts: ReadStats | Skipped) -> dict[str, int]:
    values = {name: getattr(counts, name) for name in counts.__slots__}
    return {name: value for name, value in values.items() if value}
