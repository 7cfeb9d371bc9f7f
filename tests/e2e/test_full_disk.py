"""A full disk: refused before anything is lost, read all the while, no restart."""

import os
import subprocess
import time

import pytest
from harness import Api, Ledger, Server, Writers, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs, needs root")

SELECT = '{test="writers"}'
DISK_MIB = 48
BALLAST_MIB = 40


@pytest.fixture
def small_disk(tmp_path):
    """A mounted file system of DISK_MIB, most of it taken by a file."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"may not mount: {mounted.stderr.strip()}")
    (folder / "ballast").write_bytes(bytes(BALLAST_MIB << 20))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("ratio", ["0.97", "1.0"], ids=["told ahead", "ENOSPC"])
def test_full_disk_refuses_keeps_reading_and_recovers(small_disk, tmp_path, ratio):
    start_ns = time.time_ns()
    ledger = Ledger()
    settings = {
        "common.path_prefix": str(small_disk / "data"),
        "ingester.disk_ceiling_ratio": ratio,
        "ingester.head_size": "1MB",
    }
    with Server(settings, directory=tmp_path) as server:
        server.start()
        writers = Writers(server.port, ledger).start()

        until(lambda: sum(ledger.refused.values()) > 20, seconds=60)
        acked_before = len(ledger.acked)
        with Api(server.port) as api:
            while_full = api.lines(SELECT, start_ns=start_ns, end_ns=now_ns())
        (small_disk / "ballast").unlink()
        until(lambda: len(ledger.acked) > acked_before + 1000, seconds=60)
        writers.join()

        with Api(server.port) as api:
            ledger.check(api.lines(SELECT, start_ns=start_ns, end_ns=now_ns()))
        server.kill()
        server.start()
        with Api(server.port) as api:
            ledger.check(api.lines(SELECT, start_ns=start_ns, end_ns=now_ns()))
    assert while_full
    assert set(ledger.refused) <= {500, 503}


def now_ns():
    return time.time_ns() + 1
