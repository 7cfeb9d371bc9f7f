"""Handing over: small chunks go to others, and what is refused is uploaded."""

import numpy as np
import pytest
from test_failing_flushes import AwayStore
from test_ingester_service import THREE, A, B, Cell, expected, rows_of

from loki_py.errors import Unavailable
from loki_py.index.files import decode_index_file

MANY = ((1, 1, "other"), *((0, n, "lines") for n in range(4)))


class FakeSuccessors:
    """Keep what they are given; `refused` streams they do not take."""

    def __init__(self, *, chunk_bytes_max=1_000, refused=(), refuses_from=0):
        self.chunk_bytes_max = chunk_bytes_max
        self.batches = []
        self.offered = []
        self._refused = refused
        self._refuses_from = refuses_from

    async def store(self, tenant, batch):
        refused = self._refused if len(self.batches) >= self._refuses_from else ()
        stored = np.array([s not in refused for s in batch.streams])
        self.offered.append({batch.streams[n].text for n in batch.stream.tolist()})
        self.batches.append((tenant, batch.filter(stored[batch.stream])))
        return stored

    def rows(self):
        return sorted(
            (batch.streams[s].text, ns, line)
            for _, batch in self.batches
            for s, ns, line in zip(
                batch.stream.tolist(),
                batch.timestamp_ns.tolist(),
                batch.line.to_pylist(),
                strict=True,
            )
        )


def uploaded(cell):
    """Label texts and entries of each chunk that was uploaded."""
    return sorted(
        (index.labels[series].as_py(), entries)
        for _, _, data in cell.flushed
        for index in [decode_index_file(data)]
        for series, entries in index.chunks.select("series", "entries").iter_rows()
    )


async def test_small_chunks_go_to_others_and_nothing_is_uploaded(tmp_path):
    cell = Cell(tmp_path)
    successors = FakeSuccessors()
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        await ingester.flush(successors)

        assert successors.rows() == expected(cell, *THREE)
        assert await rows_of(ingester) == expected(cell, *THREE)
    assert cell.flushed == []


async def test_what_was_handed_over_is_not_flushed_after_a_restart(tmp_path):
    """Others have it, and flush it with what is theirs."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
        await ingester.flush(FakeSuccessors())
    async with cell.ingester() as ingester:
        await ingester.flush()

        assert await rows_of(ingester) == expected(cell, *THREE)
    assert cell.flushed == []


async def test_large_chunks_are_uploaded_beside_small_ones_that_go(tmp_path):
    """The bound is one of a stream; each entry goes one way only."""
    cell = Cell(tmp_path)
    successors = FakeSuccessors(chunk_bytes_max=10)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*MANY))
        await ingester.flush(successors)
        await ingester.flush()

        assert await rows_of(ingester) == expected(cell, *MANY)
    assert successors.rows() == expected(cell, MANY[0])
    assert uploaded(cell) == [(A.text, 4)]


async def test_chunk_is_as_large_as_its_lines_in_all_files(tmp_path):
    cell = Cell(tmp_path)
    successors = FakeSuccessors(chunk_bytes_max=20)
    for line in ("seven 1", "seven 2"):
        async with cell.ingester() as ingester:
            await ingester.push(
                "t", cell.batch((0, 1, line), (0, 2, line), (1, 1, line))
            )
    async with cell.ingester() as ingester:
        await ingester.flush(successors)

    assert [text for text, _, _ in successors.rows()] == [B.text, B.text]
    assert uploaded(cell) == [(A.text, 4)]


@pytest.mark.parametrize("refuses_from", [0, 1], ids=["at once", "in the middle"])
async def test_chunks_that_others_refuse_are_uploaded_whole(tmp_path, refuses_from):
    """With the entries that were taken already; the other chunk stays taken."""
    cell = Cell(tmp_path)
    successors = FakeSuccessors(refused=(A,), refuses_from=refuses_from)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch((0, 3, "of another file")))
        await ingester.flush(successors)
        await ingester.flush()

    assert uploaded(cell) == [(A.text, 3)]
    assert expected(cell, THREE[1])[0] in successors.rows()


async def test_chunk_that_was_refused_is_offered_no_more(tmp_path):
    """It is uploaded whole: what else of it is sent would be for nothing."""
    cell = Cell(tmp_path)
    successors = FakeSuccessors(refused=(A,))
    for line in ("one", "two", "three"):
        async with cell.ingester() as ingester:
            await ingester.push("t", cell.batch((0, 1, line), (1, 1, line)))
    async with cell.ingester() as ingester:
        await ingester.flush(successors)
        sent = ingester._metrics.chunks_sent._value.get()

    assert successors.offered == [{A.text, B.text}, {B.text}, {B.text}]
    assert uploaded(cell) == [(A.text, 3)]
    assert sent == 1


async def test_chunks_are_counted_as_sent_once_the_rest_is_uploaded(tmp_path):
    """Where the upload fails they are sent again, and are no more than they were."""
    cell = Cell(tmp_path)
    cell.store = AwayStore()
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*MANY))
        with pytest.raises(Unavailable, match="flush failed: not reached"):
            await ingester.flush(FakeSuccessors(chunk_bytes_max=10))
        cell.store.is_away = False
        await ingester.flush(FakeSuccessors(chunk_bytes_max=10))

        assert ingester._metrics.chunks_sent._value.get() == 1
    assert uploaded(cell) == [(A.text, 4)]
