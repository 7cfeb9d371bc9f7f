"""Lines, streams and push bodies for the benchmarks; the same seed, the same bytes.

    generate.py --lines 1000                   lines, to look at
    generate.py --lines 100000 --folder DIR    push bodies as files

A line is logfmt of about 210 bytes with a random trace id, user and duration, or its
twin in JSON with the same fields. A stream has the labels app (app0 to app19), env
(prod for three of four streams), region (four, a quarter of the streams each), pod.
"""

import argparse
import functools
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cramjam
import msgspec
import numpy as np

NS_PER_S = 1_000_000_000
APPS_COUNT = 20
REGIONS = ("eu-north", "eu-west", "us-east", "us-west")
PATHS = (
    "/api/v1/cart", "/api/v1/orders", "/api/v1/users", "/api/v1/login",
    "/api/v2/search", "/api/v2/items", "/healthz", "/static/app.js",
)  # fmt: skip
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE")
STATUSES = (200, 201, 204, 301, 400, 404, 500, 503)
STATUS_SHARES = (0.70, 0.08, 0.05, 0.04, 0.04, 0.05, 0.03, 0.01)
LEVELS = {s: "error" if s >= 500 else "warn" if s >= 400 else "info" for s in STATUSES}

LOGFMT = (
    "ts={second}.{fraction:09d}Z level={level} caller=http/server.go:{code} "
    "method={method} path={path} status={status} duration={duration:.3f}ms "
    'bytes={size} user=u{user} trace_id={trace} msg="request served"'
)
JSON = (
    '{{"ts":"{second}.{fraction:09d}Z","level":"{level}","caller":"http/server.go:'
    '{code}","method":"{method}","path":"{path}","status":{status},"duration":"'
    '{duration:.3f}ms","bytes":{size},"user":"u{user}","trace_id":"{trace}",'
    '"msg":"request served"}}'
)
SHAPES = {"logfmt": LOGFMT, "json": JSON}


@dataclass(frozen=True)
class Workload:
    """What is pushed.

    Attributes:
        lines_count: of all bodies together.
        streams_count: label sets; each gets equally many lines.
        body_lines: lines of one push body.
        body_streams: streams of one push body.
        start_ns, end_ns: all timestamps lie in [start_ns, end_ns), rising.
        line_shape: "logfmt" or "json".
    """

    start_ns: int
    end_ns: int
    lines_count: int = 2_000_000
    streams_count: int = 100
    body_lines: int = 5_000
    body_streams: int = 100
    line_shape: str = "logfmt"
    seed: int = 1

    @property
    def bodies_count(self) -> int:
        return self.lines_count // self.body_lines

    def streams(self, body: int) -> Iterator[tuple[dict[str, str], list]]:
        """Yield the streams of one body: labels, and (timestamp ns, line) pairs."""
        share = self.body_lines // self.body_streams
        span = (self.end_ns - self.start_ns) // self.bodies_count
        begin = self.start_ns + body * span
        step = span // self.body_lines
        columns = _columns(self.body_lines, seed=(self.seed, body))
        shape = SHAPES[self.line_shape]
        for position in range(self.body_streams):
            number = (body * self.body_streams + position) % self.streams_count
            pairs = []
            for k in range(share):
                row = k * self.body_streams + position
                timestamp = begin + row * step
                pairs.append((timestamp, _line(shape, timestamp, columns, row)))
            yield labels_of(number), pairs

    def needle(self) -> str:
        """Return a trace id that one line, in the middle, has."""
        middle = self.bodies_count // 2
        return _columns(self.body_lines, seed=(self.seed, middle))["trace"][77]


def labels_of(number: int) -> dict[str, str]:
    """Return the labels of one stream."""
    return {
        "app": f"app{number % APPS_COUNT}",
        "env": "dev" if number % 4 == 3 else "prod",
        "region": REGIONS[(number // APPS_COUNT + number) % len(REGIONS)],
        "pod": f"pod-{number:05d}",
    }


def _columns(count: int, *, seed: tuple[int, int]) -> dict[str, list]:
    random = np.random.default_rng(seed)
    traces = random.bytes(16 * count).hex()
    return {
        "status": random.choice(STATUSES, size=count, p=STATUS_SHARES).tolist(),
        "path": random.integers(len(PATHS), size=count).tolist(),
        "method": random.integers(len(METHODS), size=count).tolist(),
        "code": random.integers(40, 400, size=count).tolist(),
        "duration": random.lognormal(3, 1, size=count).tolist(),
        "size": random.integers(100, 99_999, size=count).tolist(),
        "user": random.integers(1, 99_999, size=count).tolist(),
        "trace": [traces[i : i + 32] for i in range(0, 32 * count, 32)],
    }


_seconds: dict[int, str] = {}


def _second(timestamp_s: int) -> str:
    text = _seconds.get(timestamp_s)
    if text is None:
        moment = datetime.fromtimestamp(timestamp_s, UTC)
        text = _seconds[timestamp_s] = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return text


def _line(shape: str, timestamp_ns: int, columns: dict[str, list], row: int) -> str:
    status = columns["status"][row]
    return shape.format(
        second=_second(timestamp_ns // NS_PER_S),
        fraction=timestamp_ns % NS_PER_S,
        level=LEVELS[status],
        code=columns["code"][row],
        method=METHODS[columns["method"][row]],
        path=PATHS[columns["path"][row]],
        status=status,
        duration=columns["duration"][row],
        size=columns["size"][row],
        user=columns["user"][row],
        trace=columns["trace"][row],
    )


@dataclass(frozen=True)
class Body:
    """One push body, ready to send, and what is in it."""

    data: bytes
    content_type: str
    lines_count: int
    lines_bytes: int


def bodies_of(workload: Workload, *, protobuf: bool) -> Iterator[Body]:
    """Yield every push body of the workload, encoded."""
    make = functools.partial(body_of, workload, protobuf=protobuf)
    with ProcessPoolExecutor() as pool:
        yield from pool.map(make, range(workload.bodies_count), chunksize=8)


def body_of(workload: Workload, number: int, *, protobuf: bool) -> Body:
    """Return one push body of the workload, encoded."""
    streams = list(workload.streams(number))
    size = sum(len(line) for _, pairs in streams for _, line in pairs)
    if protobuf:
        data, kind = _protobuf(streams), "application/x-protobuf"
    else:
        data, kind = _json(streams), "application/json"
    return Body(data, kind, workload.body_lines, size)


def _json(streams: list) -> bytes:
    return msgspec.json.encode(
        {
            "streams": [
                {"stream": labels, "values": [(str(ns), line) for ns, line in pairs]}
                for labels, pairs in streams
            ]
        }
    )


def _protobuf(streams: list) -> bytes:
    """Return Loki's PushRequest, as raw snappy."""
    request = bytearray()
    for labels, pairs in streams:
        text = "{" + ", ".join(f'{k}="{v}"' for k, v in labels.items()) + "}"
        stream = bytearray(_field(1, text.encode()))
        for ns, line in pairs:
            seconds, nanos = divmod(ns, NS_PER_S)
            when = b"\x08" + varint(seconds) + b"\x10" + varint(nanos)
            stream += _field(2, _field(1, when) + _field(2, line.encode()))
        request += _field(1, bytes(stream))
    return bytes(cramjam.snappy.compress_raw(bytes(request)))


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, payload: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + varint(len(payload)) + payload


def workload_until(end_ns: int, **options) -> Workload:
    """Return a workload whose hour ends at the last whole minute before `end_ns`."""
    end_ns -= end_ns % (60 * NS_PER_S)
    return Workload(start_ns=end_ns - 3_600 * NS_PER_S, end_ns=end_ns, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--shape", choices=SHAPES, default="logfmt")
    parser.add_argument("--protobuf", action="store_true")
    parser.add_argument("--folder", type=Path, help="write push bodies here")
    args = parser.parse_args()
    workload = Workload(
        start_ns=1_767_225_600 * NS_PER_S,
        end_ns=1_767_229_200 * NS_PER_S,
        lines_count=args.lines,
        streams_count=args.streams,
        body_lines=min(5_000, args.lines),
        line_shape=args.shape,
    )
    if args.folder is None:
        for body in range(workload.bodies_count):
            for _, pairs in workload.streams(body):
                sys.stdout.writelines(f"{line}\n" for _, line in pairs)
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    suffix = "pb" if args.protobuf else "json"
    for number, body in enumerate(bodies_of(workload, protobuf=args.protobuf)):
        (args.folder / f"{number:05d}.{suffix}").write_bytes(body.data)


if __name__ == "__main__":
    main()
