"""Start after kill -9 with unflushed data: seconds to ready, MB a second.

    replay.py                 everything in the write-ahead log, nothing cut
    replay.py --as-shipped    with the default settings, which keep the log short

Prints one JSON line. `replay_mb_per_s` is bytes of lines by `ready_s`, all the seconds
from the start of the process until /ready says yes and every line can be asked for;
`empty_start_s` of them a start with nothing to replay takes too. As after any kill of
a process, but not of its machine, the system still has the files in memory.
"""

import argparse
import time

from client import Asker, Target, push_all, report
from generate import bodies_of, workload_until
from questions import ALL, answer_of
from server import Server, bytes_below, cpu_s_of, memory_of

CONNECTIONS = 4
NOTHING_LEAVES_THE_HEAD = {
    "ingester.head_size": "8GB",
    "ingester.head_max_age": "10h",
    "ingester.memory_ceiling": "8GB",
    "ingester.pack_target_size": "8GB",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1_850_000, help="400 MB")
    parser.add_argument("--as-shipped", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    workload = workload_until(time.time_ns(), lines_count=args.lines)
    bodies = list(bodies_of(workload, protobuf=False))
    lines = sum(body.lines_count for body in bodies)
    raw_mb = sum(body.lines_bytes for body in bodies) / 1e6
    settings = {} if args.as_shipped else NOTHING_LEAVES_THE_HEAD
    settings |= dict(one.split("=", 1) for one in args.set)
    with Server(settings) as server:
        empty_start_s = server.start()
        push_all(Target.of(server.url), bodies, connections=CONNECTIONS)
        server.kill()
        wal_mb = bytes_below(server.data / "wal") / 1e6
        ready_s = server.start(ready_s_max=600)
        cpu_s = cpu_s_of(server.pid)
        memory = memory_of(server.pid)
        found = count(server, workload)
        if found != lines:
            raise RuntimeError(f"{found} lines after the restart, {lines} pushed")
        report(
            bench="replay",
            state="as shipped" if args.as_shipped else "all in the log",
            lines_mb=round(raw_mb, 1),
            wal_mb=round(wal_mb, 1),
            ready_s=round(ready_s, 2),
            empty_start_s=round(empty_start_s, 2),
            cpu_s=round(cpu_s, 2),
            replay_mb_per_s=round(raw_mb / ready_s, 1),
            **memory,
        )


def count(server: Server, workload) -> int:
    """Return how many lines the server has."""
    asker = Asker(Target.of(server.url))
    params = {
        "query": f"sum(count_over_time({ALL}[2h]))",
        "time": str(workload.end_ns),
    }
    _, body = asker.ask("/loki/api/v1/query", params)
    asker.close()
    return int(answer_of(body).total)


if __name__ == "__main__":
    main()
