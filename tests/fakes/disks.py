"""A disk that does what a test tells it to: fails, stalls, takes half."""

import errno
import os
import threading

from loki_py.wal.segment_file import Disk


class FakeDisk:
    """Writes to the real one until told otherwise.

    Attributes:
        sync_error, write_error: raised by the next calls while they are set.
        taken_max: bytes that one write takes before `write_error`, or at all.
        gate: syncs wait for it.
        syncs: how many succeeded.
    """

    def __init__(self):
        self.sync_error = None
        self.write_error = None
        self.taken_max = None
        self.gate = threading.Event()
        self.gate.set()
        self.sync_began = threading.Event()
        self.syncs = 0
        self.writes = 0
        self.calls = Disk(writev=self._writev, sync=self._sync)

    def fill_up(self):
        self.write_error = OSError(errno.ENOSPC, "No space left on device")

    def make_room(self):
        self.write_error = None

    def _writev(self, descriptor, buffers):
        self.writes += 1
        if self.taken_max is not None:
            data = b"".join(bytes(memoryview(buffer)) for buffer in buffers)
            taken = os.write(descriptor, data[: self.taken_max])
            if self.write_error:
                raise self.write_error
            return taken
        if self.write_error:
            raise self.write_error
        return os.writev(descriptor, buffers)

    def _sync(self, descriptor):
        self.sync_began.set()
        self.gate.wait()
        if self.sync_error:
            raise self.sync_error
        os.fdatasync(descriptor)
        self.syncs += 1
