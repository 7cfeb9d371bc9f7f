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

from loki_py.model.labels import LabelSet
from loki_py.wire.push import PushDecoder

START_NS = 1_795_000_000_000_000_000
ROUNDS = 9
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
    """Print the best of several rounds."""
    best = min(_seconds(run) for _ in range(ROUNDS))
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
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Print one line per step."""
    decoder = PushDecoder()
    shapes = {
        "100x50": push_of(100, 50),
        "100x50 metadata": push_of(100, 50, metadata=True),
        "100x1": push_of(100, 1),
    }
    for shape, push in shapes.items():
        texts = [(LabelSet.of(labels).text, rows) for labels, rows in push]
        plain = push_bodies.json_body(push)
        bodies = {
            "application/json": plain,
            "application/x-protobuf": push_bodies.proto_body(texts),
        }
        for content_type, body in bodies.items():
            report(
                f"decode {content_type} {shape}",
                len(plain),
                lambda body=body, content_type=content_type: decoder.decode(
                    body, content_type=content_type, decoded_bytes_max=1 << 30
                ),
            )


if __name__ == "__main__":
    main()
