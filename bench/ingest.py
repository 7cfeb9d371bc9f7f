"""Ingestion: bytes of body per CPU second of the server, memory, and bytes stored.

    ingest.py                      2,000,000 lines as JSON, to a server of its own
    ingest.py --format protobuf    the same lines as snappy protobuf
    ingest.py --format small       100 streams x 1 line a body, from 16 connections
    ingest.py --url URL --pid PID  to a server that runs already

Prints one JSON line before the flush and one after it. fsync stays on.
"""

import argparse
import contextlib
import time
from pathlib import Path

from client import Asker, Target, push_all, report
from generate import Body, Workload, bodies_of, workload_until
from server import Server, bytes_below, cpu_s_of, memory_of

FORMATS = ("json", "protobuf", "small")
CONNECTIONS = 4
CONNECTIONS_SMALL = 16
"""Small pushes come from many agents."""


def workload_of(form: str, lines: int, streams: int, shape: str) -> Workload:
    """Return what is pushed; small bodies hold one line of each of 100 streams."""
    options = {"lines_count": lines, "streams_count": streams, "line_shape": shape}
    if form == "small":
        options.update(body_lines=100)
    return workload_until(time.time_ns(), **options)


def measure(
    target: Target, pid: int, bodies: list[Body], *, connections: int
) -> dict[str, object]:
    """Push the bodies; return what it cost the server."""
    lines = sum(body.lines_count for body in bodies)
    sent = sum(len(body.data) for body in bodies)
    raw = sum(body.lines_bytes for body in bodies)
    before = cpu_s_of(pid)
    wall_s = push_all(target, bodies, connections=connections)
    cpu_s = cpu_s_of(pid) - before
    return {
        "connections": connections,
        "lines": lines,
        "body_mb": round(sent / 1e6, 1),
        "lines_mb": round(raw / 1e6, 1),
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "body_mb_per_cpu_s": round(sent / 1e6 / cpu_s, 1),
        "lines_mb_per_cpu_s": round(raw / 1e6 / cpu_s, 1),
        "lines_per_cpu_s": round(lines / cpu_s),
        "body_mb_per_wall_s": round(sent / 1e6 / wall_s, 1),
        **memory_of(pid),
    }


def flush(target: Target, pid: int) -> dict[str, object]:
    """Force everything into the bucket; return what that cost the server."""
    asker = Asker(target)
    before = cpu_s_of(pid)
    begin = time.perf_counter()
    status = asker.post("/flush")
    wall_s = time.perf_counter() - begin
    asker.close()
    if status not in {200, 204}:
        raise RuntimeError(f"/flush answered {status}")
    return {
        "flush_wall_s": round(wall_s, 2),
        "flush_cpu_s": round(cpu_s_of(pid) - before, 2),
        **memory_of(pid),
    }


def folders(data: Path) -> dict[str, float]:
    """Return MB below each folder of the data directory."""
    return {
        f"{folder.name}_mb": round(bytes_below(folder) / 1e6, 1)
        for folder in sorted(data.iterdir())
        if folder.is_dir()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", choices=FORMATS, default="json")
    parser.add_argument("--lines", type=int)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--shape", choices=("logfmt", "json"), default="logfmt")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--url")
    parser.add_argument("--pid", type=int)
    args = parser.parse_args()
    lines = args.lines or (400_000 if args.format == "small" else 2_000_000)
    usual = CONNECTIONS_SMALL if args.format == "small" else CONNECTIONS
    workload = workload_of(args.format, lines, args.streams, args.shape)
    bodies = list(bodies_of(workload, protobuf=args.format == "protobuf"))
    settings = dict(one.split("=", 1) for one in args.set)
    with contextlib.ExitStack() as stack:
        if args.url:
            target, pid, data = Target.of(args.url), args.pid, None
        else:
            server = stack.enter_context(Server(settings))
            ready_s = server.start()
            target, pid, data = Target.of(server.url), server.pid, server.data
            report(bench="start", ready_s=round(ready_s, 2), **memory_of(pid))
        name = f"ingest_{args.format}"
        connections = args.connections or usual
        pushed = measure(target, pid, bodies, connections=connections)
        stored = {} if data is None else folders(data)
        report(bench=name, state="acknowledged", **pushed, **stored)
        flushed = flush(target, pid)
        if data is not None:
            stored = folders(data)
            bucket = bytes_below(data / "chunks")
            raw = sum(body.lines_bytes for body in bodies)
            stored["bucket_share_of_lines"] = round(bucket / raw, 3)
        report(bench=name, state="flushed", **flushed, **stored)


if __name__ == "__main__":
    main()
