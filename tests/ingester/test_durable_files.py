"""Files of an ingester: whole or not there, and never much behind the disk."""

import errno
import os

import pytest

from loki_py.ingester.blockstore import UNSYNCED_BYTES_MAX, write_durably

BUFFER = bytes(UNSYNCED_BYTES_MAX // 4 + 1)


def test_large_file_is_synced_while_it_is_written(tmp_path):
    """The WAL's next sync never waits for more than the bound, and one buffer."""
    path = tmp_path / "1.blocks"
    synced_bytes = []

    def sync(descriptor):
        synced_bytes.append(os.fstat(descriptor).st_size)
        os.fdatasync(descriptor)

    write_durably(path, [BUFFER] * 10, sync=sync)

    steps = [b - a for a, b in zip([0, *synced_bytes], synced_bytes, strict=False)]
    assert len(steps) == 2
    assert max(steps) < UNSYNCED_BYTES_MAX + len(BUFFER)
    assert path.read_bytes() == BUFFER * 10


@pytest.mark.parametrize("what", ["sync", "sync_names"])
def test_file_that_can_not_be_synced_is_not_there(tmp_path, what):
    """Neither under its name nor beside it; the failure is told."""

    def refuse(_):
        raise OSError(errno.EIO, "no")

    with pytest.raises(OSError, match="no"):
        write_durably(tmp_path / "1.blocks", [BUFFER] * 10, **{what: refuse})

    assert list(tmp_path.iterdir()) == []
