"""The segment writer: when it syncs, and what it does when it cannot."""

import errno

import pytest
from fakes.disks import FakeDisk

from loki_py.errors import DurabilityFailed
from loki_py.wal.segment import SegmentHeader
from loki_py.wal.segment_file import segment_path
from loki_py.wal.writer import RETRY_NS_MAX, SegmentWriter

INTERVAL_NS = 100


class WriterBench:
    def __init__(self, folder, sync):
        self.now_ns = 0
        self.folder = folder
        self.disk = FakeDisk()
        self.writer = SegmentWriter(
            folder,
            self.disk.calls,
            sync=sync,
            sync_interval_ns=INTERVAL_NS,
            monotonic_ns=lambda: self.now_ns,
        )

    def write(self, number=1):
        return self.writer.write(SegmentHeader(number, 0, ""), [b"x" * 8])


def test_interval_syncs_once_per_interval_and_only_what_is_new(tmp_path):
    bench = WriterBench(tmp_path, "interval")
    bench.write()
    opened = bench.disk.syncs
    bench.now_ns = 40
    bench.write()
    assert bench.writer.seconds_to_sync() == pytest.approx(60e-9)
    assert bench.disk.syncs == opened

    bench.now_ns = 100
    assert bench.writer.seconds_to_sync() == 0
    bench.writer.sync_behind()
    bench.writer.sync_behind()

    assert bench.disk.syncs == opened + 1
    assert bench.writer.seconds_to_sync() is None


def test_interval_syncs_before_it_closes(tmp_path):
    bench = WriterBench(tmp_path, "interval")
    bench.write()
    opened = bench.disk.syncs
    bench.writer.close()

    assert bench.disk.syncs == opened + 1


def test_interval_that_fails_gives_the_segment_up(tmp_path):
    bench = WriterBench(tmp_path, "interval")
    bench.write()
    bench.disk.sync_error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(DurabilityFailed, match=r"segment 1: .*Input/output"):
        bench.writer.sync_behind()

    assert bench.writer.number == 0
    assert bench.writer.is_resting()


def test_never_syncs_the_header_only(tmp_path):
    bench = WriterBench(tmp_path, "never")
    for _ in range(3):
        bench.write()
    bench.now_ns = 10 * INTERVAL_NS
    assert bench.writer.seconds_to_sync() is None
    bench.writer.close()

    assert bench.disk.syncs == 1


def test_write_to_another_segment_closes_the_one_before(tmp_path):
    bench = WriterBench(tmp_path, "always")
    bench.write(1)
    bench.write(2)

    assert bench.writer.number == 2
    assert segment_path(tmp_path, 1).exists()


def test_number_that_is_taken_is_refused_and_its_file_left_alone(tmp_path):
    segment_path(tmp_path, 1).write_bytes(b"another's")
    bench = WriterBench(tmp_path, "always")
    with pytest.raises(DurabilityFailed, match="File exists"):
        bench.write(1)

    assert segment_path(tmp_path, 1).read_bytes() == b"another's"


def test_rest_after_failures_has_a_maximum(tmp_path):
    bench = WriterBench(tmp_path, "always")
    bench.disk.fill_up()
    for number in range(1, 20):
        bench.now_ns = bench.writer.retry_at_ns
        with pytest.raises(DurabilityFailed):
            bench.write(number)

    assert bench.writer.retry_at_ns - bench.now_ns == RETRY_NS_MAX
