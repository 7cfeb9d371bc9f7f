"""Ingesters made for tests: they keep what they are given, or fail as told."""

import asyncio

import numpy as np
import pyarrow as pa

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import selects
from loki_py.model.scan import NOTHING_SKIPPED, BatchUnit
from loki_py.transport.abc import PushAnswer, Selection
from loki_py.transport.tailing import Arrivals


def batch_of(rows, *, metadata=None):
    """Return a batch of (labels text pairs, timestamp ns, line) rows."""
    streams, stream = [], []
    for labels, _, _ in rows:
        found = LabelSet.of(labels)
        if found not in streams:
            streams.append(found)
        stream.append(streams.index(found))
    return EntryBatch(
        streams,
        np.array(stream, np.uint32),
        np.array([ns for _, ns, _ in rows], np.int64),
        pa.array([line for _, _, line in rows], pa.large_string()),
        {n: pa.array(v, pa.large_string()) for n, v in (metadata or {}).items()},
    )


def rows_of(batch):
    """Return the rows of a batch as (labels text, timestamp ns, line), sorted."""
    lines = [""] * len(batch) if batch.line is None else batch.line.to_pylist()
    return sorted(
        (batch.streams[s].text, ns, line)
        for s, ns, line in zip(
            batch.stream.tolist(), batch.timestamp_ns.tolist(), lines, strict=True
        )
    )


class FakeIngester:
    """Keeps batches in memory. `error` is raised, `hangs` waits for ever."""

    def __init__(self, origin="head"):
        self.origin = origin
        self.batches = []
        self.error = None
        self.hangs = False
        self.answer = PushAnswer()
        self.packs_covered = frozenset()
        self.missing = ()
        self.skipped = NOTHING_SKIPPED
        self.flushed = 0
        self.tails = []

    def tail(self, tenant, matchers):
        tail = FakeTail(self, tenant, matchers)
        self.tails.append(tail)
        return tail

    async def push(self, tenant, batch):
        await self._trouble()
        self.batches.append((tenant, batch))
        return self.answer

    async def select(self, tenant, scan):
        await self._trouble()
        units = []
        for number, (owner, batch) in enumerate(self.batches):
            wanted = np.array([selects(scan.matchers, s) for s in batch.streams])
            mask = wanted[batch.stream]
            mask &= batch.timestamp_ns >= scan.start_ns
            mask &= batch.timestamp_ns < scan.end_ns
            if owner == tenant and mask.any():
                rows = batch.take(np.flatnonzero(mask))
                units.append(BatchUnit(rows, origin=f"{self.origin}/{number}"))
        return Selection(
            units,
            self.packs_covered,
            len(units),
            self.missing,
            skipped=self.skipped,
        )

    async def series(self, tenant, matchers, *, start_ns, end_ns):  # noqa: ARG002
        await self._trouble()
        return [
            labels
            for owner, batch in self.batches
            for labels in batch.streams
            if owner == tenant and selects(matchers, labels)
        ]

    async def flush(self):
        await self._trouble()
        self.flushed += 1

    def held(self, tenant):
        own = [rows_of(b) for owner, b in self.batches if owner == tenant]
        return sorted(row for rows in own for row in rows)

    async def _trouble(self):
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error


class FakeTail:
    """Follows a FakeIngester: what tests `bring` arrives."""

    def __init__(self, ingester, tenant, matchers):
        self.asked = (tenant, tuple(matchers))
        self.closed = False
        self._ingester = ingester
        self._queue = asyncio.Queue()

    async def begun(self):
        await self._ingester._trouble()

    async def arrivals(self):
        came = await self._queue.get()
        if isinstance(came, Exception):
            raise came
        return came

    def close(self):
        self.closed = True

    def bring(self, *batches, dropped=(), dropped_count=0):
        self._queue.put_nowait(Arrivals(batches, dropped, dropped_count))

    def lose(self, error):
        self._queue.put_nowait(error)


def read_all(selection, columns, stats):
    """Return all rows of a selection as `rows_of` does."""
    found = [rows_of(unit.read(columns, stats)) for unit in selection.units]
    return sorted(row for rows in found for row in rows)
