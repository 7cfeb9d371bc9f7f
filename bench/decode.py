"""Milliseconds per MB of a push body, step by step, as JSON lines.

Run: .venv/bin/python bench/decode.py
"""

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "wire"))

import push_bodies
import pyarrow as pa
from prometheus_client import CollectorRegistry

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.distributor.levels import LevelDetector
from loki_py.distributor.metrics import DistributorMetrics
from loki_py.distributor.service import Distributor
from loki_py.model.labels import LabelSet
from loki_py.runtime.clock import ManualClock
from loki_py.transport.abc import PushAnswer
from loki_py.wire.push import PushDecoder

START_NS = 1_795_000_000_000_000_000
ROUNDS = 50
MB = 1_000_000


def logfmt_line(source: random.Random, ns: int) -> str:
    """Return a line of about 210 bytes."""
    return (
        f"ts={ns} level={source.choice(['info', 'info', 'info', 'warn', 'error'])} "
        f"caller=handler.go:{source.randint(10, 999)} "
        f"method={source.choice(['GET', 'POST', 'PUT'])} "
        f"path=/api/v1/{source.choice(['users', 'orders'])}/{source.randint(1, 99999)} "
        f"status={source.choice([200, 200, 404, 500])} "
        f"duration={source.random() * 3:.3f}s bytes={source.randint(100, 99999)} "
        f"user=user-{source.randint(1, 50000)} "
        f'trace_id={source.getrandbits(128):032x} msg="request served"'
    )


def push_of(streams: int, lines: int, *, metadata: bool = False):
    """Return the streams of a push: labels and entries."""
    source = random.Random(1)
    push = []
    for stream in range(streams):
        labels = {"app": f"app{stream % 20}", "pod": f"pod-{stream}", "env": "prod"}
        entries = []
        for line in range(lines):
            ns = START_NS + line * 10**7 + stream
            extra = {"trace_id": f"{source.getrandbits(64):016x}"} if metadata else None
            entries.append((ns, logfmt_line(source, ns), extra))
        push.append((labels, entries))
    return push


def report(name: str, size_bytes: int, run: Callable[[], object]) -> None:
    """Print the least CPU time of many rounds."""
    rounds = ROUNDS if size_bytes > MB // 5 else 20 * ROUNDS
    best = min(_seconds(run) for _ in range(rounds))
    print(
        json.dumps(
            {
                "step": name,
                "us": round(best * 1e6, 1),
                "ms_per_mb": round(best * 1e3 / (size_bytes / MB), 3),
            }
        )
    )


def _seconds(run: Callable[[], object]) -> float:
    start = time.thread_time()
    run()
    return time.thread_time() - start


class NowhereIngester:
    """Takes everything and keeps nothing."""

    async def push(self, _tenant, _batch):
        """Take the batch."""
        return PushAnswer()


def new_distributor() -> Distributor:
    """Return a distributor whose limits are out of the way."""
    limits = Limits.from_mapping(
        {"ingestion_rate_mb": 1_000_000, "ingestion_burst_size_mb": 1_000_000}
    )
    return Distributor(
        NowhereIngester(),
        overrides=StaticOverrides(limits),
        metrics=DistributorMetrics(CollectorRegistry()),
        clock=ManualClock(START_NS),
    )


def run_now(coroutine) -> None:
    """Run a coroutine that never waits, without a loop's cost."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("the coroutine waited")


def report_push(shape: str, push) -> None:
    """Report decoding, and decoding with everything up to the ingester."""
    decoder, distributor = PushDecoder(), new_distributor()
    texts = [(LabelSet.of(labels).text, rows) for labels, rows in push]
    plain = push_bodies.json_body(push)
    bodies = {"json": plain, "x-protobuf": push_bodies.proto_body(texts)}
    for kind, body in bodies.items():

        def decode(body=body, kind=kind):
            return decoder.decode(
                body, content_type=f"application/{kind}", decoded_bytes_max=1 << 30
            )

        batch = decode().batch
        report(f"decode {kind} {shape}", len(plain), decode)
        report(
            f"distribute {kind} {shape}",
            len(plain),
            lambda batch=batch: run_now(distributor.push("t", batch)),
        )
        report(
            f"decode and distribute {kind} {shape}",
            len(plain),
            lambda decode=decode: run_now(distributor.push("t", decode().batch)),
        )


def main() -> None:
    """Print one line per step."""
    report_push("100x50", push_of(100, 50))
    report_push("100x50 metadata", push_of(100, 50, metadata=True))
    report_push("100x1", push_of(100, 1))
    source = random.Random(1)
    names = Limits().log_level_fields
    detector = LevelDetector(names, json_depth_max=2)
    for kind, line_of in LINES.items():
        for count in (5000, 100):
            lines = [line_of(source) for _ in range(count)]
            column = pa.array(lines, pa.large_string())
            report(
                f"levels {kind} {count}",
                sum(map(len, lines)),
                lambda column=column: detector.codes_of(column),
            )


LINES = {
    "logfmt": lambda source: logfmt_line(source, START_NS),
    "quotes first": lambda source: (
        'time="2026-11-20T21:45:53Z" level=info msg="served request" '
        f"path=/api/{source.randint(1, 99999)} status=200 user=someone took=3ms"
    ),
    "nginx": lambda source: (
        f"10.0.0.{source.randint(1, 255)} - - [20/Nov/2026:21:45:53 +0000] "
        f'"GET /api/v1/orders/{source.randint(1, 9999)} HTTP/1.1" 200 612 '
        '"https://example.com/" "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0"'
    ),
    "text": lambda source: (
        "2026-11-20 21:45:53.123 INFO dfs.DataNode$PacketResponder: Received block "
        f"blk_{source.getrandbits(40)} of size 91178 from /10.250.10.6"
    ),
    "json": lambda source: json.dumps(
        {"ts": "now", "level": "info", "msg": "served", "n": source.getrandbits(99)},
        separators=(",", ":"),
    ),
    "nested json": lambda source: json.dumps(
        {"ctx": {"n": source.getrandbits(99)}, "level": "info", "msg": "served"}
    ),
}


if __name__ == "__main__":
    main()
