"""Handing over: what is small goes to others, who refuses loses nothing."""

import pytest
from test_ingester_service import THREE, Cell, expected, rows_of

from loki_py.errors import LimitExceeded, QuorumNotReached
from loki_py.index.files import decode_index_file


class FakeSuccessors:
    """Keep what they are given, or refuse."""

    def __init__(self, *, line_bytes_max=1_000, error=None, refuses_from=0):
        self.line_bytes_max = line_bytes_max
        self.batches = []
        self._error = error
        self._refuses_from = refuses_from

    async def store(self, tenant, batch):
        if self._error and len(self.batches) >= self._refuses_from:
            raise self._error
        self.batches.append((tenant, batch))

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


async def test_small_data_goes_to_others_and_nothing_is_uploaded(tmp_path):
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


@pytest.mark.parametrize(
    "successors",
    [
        FakeSuccessors(line_bytes_max=3),
        FakeSuccessors(error=QuorumNotReached("nobody is there")),
        FakeSuccessors(error=LimitExceeded("too many streams")),
        FakeSuccessors(error=LimitExceeded("too many streams"), refuses_from=1),
    ],
    ids=["large", "lost", "refused", "refused in the middle"],
)
async def test_what_others_do_not_take_is_uploaded(tmp_path, successors):
    """All of the tenant's entries, those that were taken too; once."""
    cell = Cell(tmp_path)
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch(*THREE))
    async with cell.ingester() as ingester:
        await ingester.push("t", cell.batch((0, 3, "of another file")))
        await ingester.flush(successors)
        await ingester.flush()

    [(tenant, _, index)] = cell.flushed
    assert tenant == "t"
    assert decode_index_file(index).chunks["entries"].sum() == 4
