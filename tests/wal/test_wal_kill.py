"""The log under kill -9: every acknowledged line is there once, byte for byte."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.entry_batches import batch_of

from loki_py.wal.log import Log, LogSettings
from loki_py.wal.records import encode_entries
from loki_py.wal.replay import ReplayStats, replay

TESTS = Path(__file__).parent.parent
WRITERS = 4


def line_of(name):
    """Return a line that its name determines, of up to 20,000 bytes."""
    return f"{name} " + name * (sum(name.encode()) * 7919 % 20_000 // len(name))


async def write_until_killed(folder):
    """Append from several tasks; print the name of each line once it is durable."""
    log = Log(folder, LogSettings("ingester-0"))
    log.start()

    async def write(writer):
        for number in range(10**9):
            name = f"{os.getpid()}/{writer}/{number}"
            batch = batch_of([({"app": "a"}, number, line_of(name))])
            record = encode_entries("t", batch.stream, batch)
            await log.append([record], segment=log.segment)
            print(name, flush=True)  # noqa: T201
            if writer == 0 and number % 50 == 49:
                log.rotate()

    await asyncio.gather(*map(write, range(WRITERS)))


@pytest.mark.slow
@pytest.mark.parametrize("acked_min", [1, 10, 100, 500, 1000])
def test_acknowledged_lines_survive_a_kill_once_each(tmp_path, acked_min):
    acked = []
    for _ in range(2):  # the second process begins where the first was killed
        with subprocess.Popen(
            [sys.executable, __file__, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}"},
        ) as child:
            acked += [child.stdout.readline().strip() for _ in range(acked_min)]
            child.kill()
            *rest, _ = child.stdout.read().split("\n")
        acked += rest
    stats = ReplayStats()
    found = [
        line
        for _, record in replay(tmp_path, stats)
        for line in record.line.to_pylist()
    ]

    assert len(found) == len(set(found))
    assert set(found) >= set(map(line_of, acked))
    # At most the pushes that were under way when each process was killed.
    assert len(found) - len(acked) <= 2 * WRITERS
    assert all(line == line_of(line.partition(" ")[0]) for line in found)
    assert stats.quarantined == 0


if __name__ == "__main__":
    asyncio.run(write_until_killed(Path(sys.argv[1])))
