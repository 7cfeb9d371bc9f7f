"""Let other processes read an ingester: selections, their units, what plans make.

Owns a pool of threads for reading, and the sessions of those who read.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from loki_py.errors import CorruptData, LokiError
from loki_py.model.scan import ReadStats, ScanUnit, Skipped
from loki_py.runtime.clock import Clock
from loki_py.transport.abc import EntrySource, Selection, SurveyedSource
from loki_py.transport.outbox import Advance, Outbox
from loki_py.transport.partials import question_of
from loki_py.transport.read_unit import (
    LeafRunner,
    advance_rows,
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
from loki_py.wire.messages_batch import encode_labels
from loki_py.wire.messages_select import (
    cells_behind,
    columns_of,
    describe_units,
    scan_of,
)

READ_THREADS = 2
READS_MAX = 8
"""Units that are in memory to be sent, at once."""

ADVANCE_S_MAX = 0.5
"""How long units are evaluated before it is known whether that is wanted."""

UNITS_AT_ONCE_MAX = 64
"""Units that are compared by their bounds on the event loop: a thread is dearer."""

ADVANCE_BYTES_MAX = 4 << 20
"""Partial results that are told with a selection."""

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
        if asked.survey and isinstance(self._ingester, SurveyedSource):
            found = await self._ingester.survey(asked.tenant, scan)
        else:
            found = await self._ingester.select(asked.tenant, scan)
        told = wire.SelectAnswered(
            "",
            found.chunks_matched,
            sorted(found.packs_covered),
            missing=list(found.missing),
            skipped=_counts_told(found.skipped),
        )
        if not found.units and not asked.survey:
            return encode_message(told)
        if asked.survey:
            cells = await self._cells_of(asked, found)
            _tell_cells(told, cells)
            texts = encode_labels(found.streams)
            told.tables = [len(texts)]
            return encode_message(told, [texts, *cells_behind(cells)])
        evaluated, described = await self._evaluated_and_described(asked, found, told)
        told.evaluated, message = evaluated
        told.evaluated_bytes = len(message)
        told.evaluates = wire.PLANS
        streams = found.units[0].streams
        told.session = self.sessions.open(asked.tenant, scan, found.units, streams)
        return encode_message(told, [message, *described])

    async def _evaluated_and_described(
        self, asked: wire.SelectAsked, found: Selection, told: wire.SelectAnswered
    ) -> tuple[tuple[int, bytes], Sequence[bytes]]:
        """Return what came of units, and what tells of them, the latter meanwhile.

        Where one fails, the other has ended too.
        """
        try:
            async with asyncio.TaskGroup() as group:
                # In this order: threads are at work when units are described.
                evaluated = group.create_task(self._evaluated(asked, found.units))
                described = group.create_task(self._described(asked, found, told))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return evaluated.result(), described.result()

    async def _described(
        self, asked: wire.SelectAsked, found: Selection, told: wire.SelectAnswered
    ) -> Sequence[bytes]:
        """Return units and cells as they lie behind the header, which tells of them."""
        told.tables, told.units, payload = describe_units(found.units)
        cells = await self._cells_of(asked, found)
        _tell_cells(told, cells)
        return [*payload, *cells_behind(cells)]

    async def _cells_of(
        self, asked: wire.SelectAsked, found: Selection
    ) -> Cells | None:
        """Return the cells that are asked for."""
        if not asked.cells:
            return None
        if found.cells_counted:
            return _cells_of(found)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, _cells_of, found)

    async def _evaluated(
        self, asked: wire.SelectAsked, units: Sequence[ScanUnit]
    ) -> tuple[int, bytes]:
        """Return how many units were evaluated, and what came of them.

        None where it may take long, or fails: who asks for it then is told why.
        """
        if asked.question is None or asked.plans != wire.PLANS or asked.survey:
            return 0, b""
        rows_max = advance_rows(units, scan_of(asked), stops_early=asked.stops_early)
        if not rows_max or self._reads.locked():
            return 0, b""
        loop = asyncio.get_running_loop()
        advance = Advance(bytes_max=ADVANCE_BYTES_MAX)
        question = question_of(asked.question)
        try:
            async with self._reads, asyncio.timeout(ADVANCE_S_MAX):
                distinct = (
                    self._distinct(units)
                    if len(units) <= UNITS_AT_ONCE_MAX
                    else await loop.run_in_executor(self._pool, self._distinct, units)
                )
                stats = await self._leaves.run(
                    distinct, question, advance.take, rows_max=rows_max
                )
        except (LokiError, TimeoutError):
            return 0, b""
        message = advance.message(_counts_told(stats))
        return len(units), message + b" " * (-len(message) % 8)

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
                outbox.close()
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


def _tell_cells(told: wire.SelectAnswered, cells: Cells | None) -> None:
    told.digests = KIND
    told.cells = -1 if cells is None else len(cells)
    told.shift = 0 if cells is None else cells.shift


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
