"""The log: what was acknowledged is on disk, what failed never is."""

import asyncio
import errno

import pytest
from fakes.disks import FakeDisk
from fakes.entry_batches import batch_of

from loki_py.errors import DurabilityFailed, NotReady, Overloaded
from loki_py.wal.log import Log, LogSettings
from loki_py.wal.records import EntriesRecord, encode_entries
from loki_py.wal.replay import ReplayStats, replay
from loki_py.wal.segment_file import segment_path
from loki_py.wal.writer import RETRY_NS_MIN

IO_ERROR = OSError(errno.EIO, "Input/output error")


def record_of(line):
    batch = batch_of([({"app": "a"}, 1, line)])
    return encode_entries("t", batch.stream, batch)


def lines_on_disk(folder):
    """Return {segment: lines} that a restart would find."""
    found = {}
    for number, record in replay(folder, ReplayStats()):
        if isinstance(record, EntriesRecord):
            found.setdefault(number, []).extend(record.line.to_pylist())
    return found


class Clock:
    now_ns = 1_000_000_000

    def __call__(self):
        return self.now_ns


class LogBench:
    """A log on a fake disk, with the words in which the tests speak."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.disk = FakeDisk()
        self.clock = Clock()
        self.log = Log(
            folder,
            LogSettings("ingester-0", **settings),
            disk=self.disk.calls,
            monotonic_ns=self.clock,
        )

    def append(self, line):
        return self.log.append([record_of(line)], segment=self.log.segment)

    async def append_while_syncing(self, *lines):
        """Append lines that queue up behind a sync of `first`; return all."""
        self.disk.gate.clear()
        self.disk.sync_began.clear()
        appends = [self.append("first")]
        await asyncio.to_thread(self.disk.sync_began.wait)
        return [*appends, *map(self.append, lines)]


@pytest.fixture
async def bench(tmp_path):
    bench = LogBench(tmp_path / "wal")
    bench.log.start()
    yield bench
    bench.disk.gate.set()
    bench.disk.sync_error = bench.disk.write_error = None
    await bench.log.stop()


async def test_acknowledged_lines_are_on_disk_in_order(bench):
    for line in ("a", "b", "c"):
        await bench.append(line)

    assert lines_on_disk(bench.folder) == {1: ["a", "b", "c"]}


async def test_nothing_is_acknowledged_before_its_sync(bench):
    await bench.append("opens the segment")
    (append,) = await bench.append_while_syncing()
    await asyncio.sleep(0)
    assert not append.done()

    bench.disk.gate.set()
    await append


async def test_one_sync_serves_all_that_wait(bench):
    await bench.append("opens the segment")
    before = bench.disk.syncs
    appends = await bench.append_while_syncing(*map(str, range(100)))
    bench.disk.gate.set()
    await asyncio.gather(*appends)

    assert bench.disk.syncs == before + 2
    assert bench.log.stats.records == 102
    assert bench.log.stats.groups == 3


async def test_failed_sync_is_never_acknowledged(bench):
    """Neither the lines in the failed group nor those queued behind it."""
    await bench.append("kept")
    appends = await bench.append_while_syncing("x", "y")
    bench.disk.sync_error = IO_ERROR
    bench.disk.gate.set()
    outcomes = await asyncio.gather(*appends, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [DurabilityFailed] * 3
    assert "Input/output error" in str(outcomes[0])
    assert bench.log.unavailable == str(outcomes[0])
    assert lines_on_disk(bench.folder) == {1: ["kept"]}


async def test_after_a_failure_the_segment_is_never_used_again(bench):
    await bench.append("kept")
    bench.disk.sync_error = IO_ERROR
    with pytest.raises(DurabilityFailed):
        await bench.append("lost")
    size = segment_path(bench.folder, 1).stat().st_size
    assert bench.log.segment == 2

    bench.disk.sync_error = None
    bench.clock.now_ns += RETRY_NS_MIN
    await bench.append("new")

    assert segment_path(bench.folder, 1).stat().st_size == size
    assert lines_on_disk(bench.folder) == {1: ["kept"], 2: ["new"]}
    assert bench.log.unavailable == ""
    assert bench.log.stats.segments_abandoned == 1


async def test_append_for_a_segment_that_was_given_up_fails(bench):
    """Refs chosen for the old segment mean nothing in the new one."""
    stale = bench.log.segment
    bench.disk.sync_error = IO_ERROR
    with pytest.raises(DurabilityFailed):
        await bench.append("lost")
    bench.disk.sync_error = None
    bench.clock.now_ns += RETRY_NS_MIN

    with pytest.raises(DurabilityFailed, match="segment 1 was given up"):
        await bench.log.append([record_of("stale")], segment=stale)


async def test_half_written_group_is_cut_off(bench):
    await bench.append("kept")
    bench.disk.taken_max = 30
    bench.disk.fill_up()
    with pytest.raises(DurabilityFailed, match="No space left"):
        await bench.append("x" * 100)

    stats = ReplayStats()
    assert len(list(replay(bench.folder, stats))) == 1
    assert (stats.torn_bytes, stats.quarantined) == (0, 0)


async def test_short_writes_are_continued(bench):
    bench.disk.taken_max = 100
    await bench.append("x" * 1000)

    assert lines_on_disk(bench.folder) == {1: ["x" * 1000]}


async def test_disk_that_takes_nothing_fails_instead_of_hanging(bench):
    await bench.append("kept")
    bench.disk.taken_max = 0
    with pytest.raises(DurabilityFailed, match=r"took 0 of \d+ bytes"):
        await bench.append("lost")


async def test_full_disk_leaves_no_file_behind_and_recovers(bench):
    bench.disk.fill_up()
    for wait_ns in (0, RETRY_NS_MIN, 2 * RETRY_NS_MIN):
        bench.clock.now_ns += wait_ns
        with pytest.raises(DurabilityFailed, match="No space left"):
            await bench.append("lost")
        assert list(bench.folder.iterdir()) == []
    bench.disk.make_room()
    bench.clock.now_ns += 4 * RETRY_NS_MIN
    bench.log.check()
    await bench.append("kept")

    assert lines_on_disk(bench.folder) == {4: ["kept"]}


async def test_failed_disk_is_left_alone_for_a_while(bench):
    """Each failure doubles the time in which pushes are refused untried."""
    bench.disk.fill_up()
    with pytest.raises(DurabilityFailed):
        await bench.append("lost")
    writes = bench.disk.writes
    for rest_ns in (RETRY_NS_MIN, 2 * RETRY_NS_MIN):
        bench.clock.now_ns += rest_ns - 1
        with pytest.raises(DurabilityFailed, match="No space left"):
            bench.log.check()
        with pytest.raises(DurabilityFailed, match="No space left"):
            await bench.append("lost")
        assert bench.disk.writes == writes

        bench.clock.now_ns += 1
        bench.log.check()
        with pytest.raises(DurabilityFailed):
            await bench.append("lost")
        assert bench.disk.writes == writes + 1
        writes += 1


async def test_rotate_divides_what_was_called_before_from_what_after(bench):
    appends = await bench.append_while_syncing("before")
    assert bench.log.rotate() == 1
    appends.append(bench.append("between"))
    assert bench.log.rotate() == 2
    appends.append(bench.append("after"))
    bench.disk.gate.set()
    await asyncio.gather(*appends)

    assert lines_on_disk(bench.folder) == {
        1: ["first", "before"],
        2: ["between"],
        3: ["after"],
    }
    assert bench.log.segments() == [1, 2, 3]


async def test_failure_in_an_old_segment_spares_the_new_one(bench):
    await bench.append("kept")
    failing = await bench.append_while_syncing("same segment")
    bench.log.rotate()
    later = bench.append("next segment")
    bench.disk.sync_error = IO_ERROR
    bench.disk.gate.set()
    outcomes = await asyncio.gather(*failing, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [DurabilityFailed] * 2

    # The disk is left alone, so the next segment's lines fail too, and say so.
    with pytest.raises(DurabilityFailed, match="Input/output"):
        await later
    assert bench.log.segment == 3


async def test_deleted_segments_are_gone_and_others_stay(bench):
    await bench.append("a")
    bench.log.rotate()
    await bench.append("b")
    old = bench.log.rotate()
    await bench.append("c")
    size = segment_path(bench.folder, 3).stat().st_size
    await asyncio.to_thread(bench.log.delete_through, old)

    assert bench.log.segments() == [3]
    assert bench.log.size_bytes == size
    assert lines_on_disk(bench.folder) == {3: ["c"]}


async def test_log_starts_behind_the_segments_that_are_there(bench, tmp_path):
    await bench.append("old")
    await bench.log.stop()
    again = LogBench(tmp_path / "wal")
    again.log.start()
    assert again.log.segments() == [1]
    await again.append("new")
    await again.log.stop()

    assert lines_on_disk(again.folder) == {1: ["old"], 2: ["new"]}


async def test_first_segment_can_be_asked_for(tmp_path):
    bench = LogBench(tmp_path)
    bench.log.start(segment_min=41)
    assert bench.log.segment == 41
    await bench.log.stop()


async def test_queue_over_its_bound_is_refused(tmp_path):
    bench = LogBench(tmp_path, queue_bytes_max=1500)
    bench.log.start()
    appends = await bench.append_while_syncing("x" * 500)
    bench.log.check()
    appends.append(bench.append("y" * 500))
    with pytest.raises(Overloaded, match="limit is 1500"):
        bench.log.check()
    bench.disk.gate.set()
    await asyncio.gather(*appends)
    await bench.log.stop()

    assert bench.log._queued_bytes == 0


async def test_stop_writes_what_is_queued_and_then_refuses(bench):
    appends = await bench.append_while_syncing("queued")
    stopping = asyncio.create_task(bench.log.stop())
    await asyncio.sleep(0)
    bench.disk.gate.set()
    await stopping
    await asyncio.gather(*appends)

    assert lines_on_disk(bench.folder) == {1: ["first", "queued"]}
    with pytest.raises(NotReady):
        bench.log.check()
    with pytest.raises(NotReady):
        await bench.append("late")


async def test_waiter_that_was_cancelled_does_not_disturb_the_others(bench):
    appends = await bench.append_while_syncing("cancelled", "other")
    appends[1].cancel()
    bench.disk.gate.set()
    await asyncio.gather(appends[0], appends[2])

    assert appends[1].cancelled()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_mistake_in_the_thread_leaves_nobody_waiting(bench):
    bench.disk.write_error = ZeroDivisionError("our mistake")
    with pytest.raises(DurabilityFailed, match="has ended"):
        await bench.append("lost")
    with pytest.raises(NotReady):
        bench.log.check()
