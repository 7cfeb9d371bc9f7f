"""Three ingesters, replication factor 3, against one process: CPU, latency, queries.

    cluster.py                    everything below, over an etcd of its own
    cluster.py --parts push       CPU of the same push by both, per round
    cluster.py --parts latency    pushes of 100 kB at half of what the cluster takes
    cluster.py --parts query      the same questions to both, unflushed and flushed
    cluster.py --parts ring       replica sets of 1,000 streams

Needs etcd (Debian: etcd-server) unless only the ring is asked for. Prints one JSON
line for each measurement, with the bound that holds for it. fsync stays on.
"""

import argparse
import contextlib
import dataclasses
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from client import Asker, Pusher, Target, push_all, report
from generate import Body, Workload, bodies_of, labels_of, workload_until
from questions import JSON, LOGFMT, Question, answer_of
from server import Server, cpu_s_of, memory_of

from bench.ports import free_port
from loki_py.model.labels import LabelSet, token_of
from loki_py.ring.desc import InstanceDesc, InstanceState
from loki_py.ring.lookup import build_table
from loki_py.ring.tokens import choose_tokens

PARTS = ("ring", "push", "latency", "query")
INGESTERS = ("ingester-0", "ingester-1", "ingester-2")
CONNECTIONS = 4
WARM_BODIES = 20
ETCD_S_MAX = 20.0

CPU_RATIO_MAX = 4.5
QUERY_RATIO_MAX = 1.6
LOOKUP_MS_MAX = 1.0
P50_MS_MAX = 10.0
P99_MS_MAX = 50.0


class Etcd:
    """One member below a folder; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.endpoint = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        binary = shutil.which("etcd")
        if binary is None:
            raise SystemExit("etcd is not installed: apt-get install etcd-server")
        client, peer = f"http://{self.endpoint}", f"http://127.0.0.1:{free_port()}"
        command = [
            binary,
            "--name=m",
            f"--data-dir={self._folder}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=m={peer}",
            "--log-level=error",
        ]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, **quiet)
        host, _, port = self.endpoint.partition(":")
        deadline = time.perf_counter() + ETCD_S_MAX
        while True:
            try:
                socket.create_connection((host, int(port)), 1).close()
            except OSError:
                if time.perf_counter() > deadline or self._process.poll() is not None:
                    self._end()
                    raise TimeoutError("etcd does not listen") from None
                time.sleep(0.02)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()


class Cluster:
    """Three ingesters, a distributor and a querier; a context manager."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="loki-py-cluster-"))
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self.servers: dict[str, Server] = {}

    def __enter__(self) -> Self:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            etcd = self._stack.enter_context(Etcd(self.folder / "etcd"))
            for name in (*INGESTERS, "distributor", "querier"):
                self.servers[name] = self._started(name, etcd)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _started(self, name: str, etcd: Etcd) -> Server:
        folder = self.folder / name
        folder.mkdir()
        settings = {
            "target": name.partition("-")[0],
            "common.instance_id": name,
            "common.replication_factor": str(len(INGESTERS)),
            "common.ring.kvstore.store": "etcd",
            "common.ring.kvstore.etcd.endpoints": f"[{etcd.endpoint}]",
            "common.storage.filesystem.chunks_directory": str(self.folder / "chunks"),
            "server.grpc_listen_port": str(free_port()),
            **self._settings,
        }
        server = self._stack.enter_context(Server(settings, directory=folder))
        server.start()
        return server


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        pushes, queries: whom to push to, whom to ask.
        servers: all processes, by name.
    """

    name: str
    pushes: Target
    queries: Target
    servers: Mapping[str, Server]

    def cpu_s(self) -> dict[str, float]:
        return {name: cpu_s_of(server.pid) for name, server in self.servers.items()}

    def resident_mib(self) -> dict[str, float]:
        return {
            name: memory_of(server.pid)["resident_mib"]
            for name, server in self.servers.items()
        }

    def flush(self) -> None:
        """Have all that keep entries write them to the bucket."""
        for name, server in self.servers.items():
            if name.startswith(("ingester", "single")):
                asker = Asker(Target.of(server.url))
                asker.post("/flush")
                asker.close()


@contextlib.contextmanager
def sides_of(settings: Mapping[str, str]) -> Iterator[tuple[Side, Side]]:
    """Start one process and a cluster."""
    with Server(settings) as server, Cluster(settings) as cluster:
        server.start()
        target = Target.of(server.url)
        servers = cluster.servers
        yield (
            Side("single", target, target, {"single": server}),
            Side(
                "cluster",
                Target.of(servers["distributor"].url),
                Target.of(servers["querier"].url),
                servers,
            ),
        )


def spent(side: Side, bodies: Sequence[Body]) -> tuple[float, dict[str, float]]:
    """Push the bodies; return the seconds, and the CPU seconds of each process."""
    before = side.cpu_s()
    wall_s = _pushed(side, bodies)
    after = side.cpu_s()
    return wall_s, {name: after[name] - before[name] for name in after}


def measure_push(sides: Sequence[Side], workload: Workload, rounds: int) -> None:
    """Push the same bodies to both, some rounds; the first shows what warms up."""
    for number in range(rounds):
        own = dataclasses.replace(workload, seed=number + 1)
        bodies = list(bodies_of(own, protobuf=False))
        sent_mb = sum(len(body.data) for body in bodies) / 1e6
        per_mb = {}
        for side in sides:
            wall_s, cpu_s = spent(side, bodies)
            per_mb[side.name] = sum(cpu_s.values()) / sent_mb * 1000
            report(
                bench="cluster_push",
                side=side.name,
                round=number,
                body_mb=round(sent_mb, 1),
                wall_s=round(wall_s, 2),
                cpu_ms_per_mb=round(per_mb[side.name], 2),
                cpu_ms_per_mb_each={
                    name: round(spent_s / sent_mb * 1000, 2)
                    for name, spent_s in cpu_s.items()
                },
                resident_mib=side.resident_mib(),
            )
        ratio = per_mb["cluster"] / per_mb["single"]
        report(
            bench="cluster_push",
            round=number,
            cpu_ratio=round(ratio, 2),
            bound=CPU_RATIO_MAX,
        )


def _pushed(side: Side, bodies: Sequence[Body]) -> float:
    return push_all(side.pushes, bodies, connections=CONNECTIONS)


def measure_latency(side: Side, workload: Workload, seconds: float) -> None:
    """Push bodies of about 100 kB at half of what the side takes."""
    bodies = list(bodies_of(workload, protobuf=False))
    _pushed(side, bodies[:WARM_BODIES])
    fast_s = _pushed(side, bodies)
    rate = len(bodies) / fast_s / 2
    count = int(rate * seconds)
    times_ms = paced(side.pushes, bodies, count=count, period_s=1 / rate)
    report(
        bench="cluster_latency",
        side=side.name,
        body_kb=round(len(bodies[0].data) / 1000),
        pushes=count,
        pushes_per_s=round(rate),
        p50_ms=round(float(np.quantile(times_ms, 0.5)), 2),
        p99_ms=round(float(np.quantile(times_ms, 0.99)), 2),
        highest_ms=round(max(times_ms), 2),
        bound_p50_ms=P50_MS_MAX,
        bound_p99_ms=P99_MS_MAX,
    )


def paced(
    target: Target, bodies: Sequence[Body], *, count: int, period_s: float
) -> list[float]:
    """Push one body a period; return how long after its time each was answered."""
    begin = time.perf_counter() + period_s
    numbers = iter(range(count))
    times_ms: list[float] = []

    def run() -> None:
        with Pusher(target) as pusher:
            for number in numbers:
                due = begin + number * period_s
                time.sleep(max(due - time.perf_counter(), 0))
                pusher.push(bodies[number % len(bodies)])
                times_ms.append((time.perf_counter() - due) * 1000)

    threads = [threading.Thread(target=run) for _ in range(2 * CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(times_ms) < count:
        raise RuntimeError(f"{count - len(times_ms)} of {count} pushes failed")
    return times_ms


def measure_queries(
    sides: Sequence[Side],
    workload: Workload,
    questions: Sequence[Question],
    *,
    rounds: int,
    state: str,
) -> None:
    """Ask both the same; the median of some warm rounds, in turns."""
    askers = [Asker(side.queries) for side in sides]
    for question in questions:
        path, params = question.path(), question.params(workload)
        answers = [answer_of(asker.ask(path, params)[1]) for asker in askers]
        times_ms: list[list[float]] = [[], []]
        for _ in range(rounds):
            for asker, times in zip(askers, times_ms, strict=True):
                times.append(asker.ask(path, params)[0] * 1000)
        single, cluster = (statistics.median(times) for times in times_ms)
        report(
            bench="cluster_query",
            query=question.name,
            state=state,
            single_ms=round(single, 1),
            cluster_ms=round(cluster, 1),
            ratio=round(cluster / single, 2),
            bound=QUERY_RATIO_MAX,
            same_answer=answers[0] == answers[1],
            lines=answers[1].lines,
            total=answers[1].total,
        )
    for asker in askers:
        asker.close()


def measure_ring(rounds: int = 200) -> None:
    """Look up the replica sets of 1,000 streams among 10 ingesters."""
    tokens_of: dict[str, tuple[int, ...]] = {}
    for number in range(10):
        name = f"ingester-{number}"
        tokens_of[name] = choose_tokens(name, count=128, peers=dict(tokens_of))
    instances = [
        InstanceDesc(name, "127.0.0.1:1", InstanceState.ACTIVE, tokens=tokens)
        for name, tokens in tokens_of.items()
    ]
    table = build_table(instances, replication_factor=3, zone_aware=False)
    streams = [LabelSet.of(labels_of(number)) for number in range(1_000)]
    hashed_ms, found_ms = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        tokens = np.array([token_of("tenant", one) for one in streams], np.uint32)
        between = time.perf_counter()
        table.replicas_of(tokens)
        found_ms.append((time.perf_counter() - between) * 1000)
        hashed_ms.append((between - begin) * 1000)
    report(
        bench="ring_lookup",
        streams=len(streams),
        tokens_ms=round(statistics.median(hashed_ms), 3),
        lookup_ms=round(statistics.median(found_ms), 3),
        bound_ms=LOOKUP_MS_MAX,
    )


def run_push(args: argparse.Namespace, sides: Sequence[Side]) -> None:
    workload = workload_until(time.time_ns(), lines_count=args.lines)
    measure_push(sides, workload, args.push_rounds)


def run_latency(args: argparse.Namespace, sides: Sequence[Side]) -> None:
    workload = workload_until(time.time_ns(), lines_count=200_000, body_lines=400)
    for side in sides:
        measure_latency(side, workload, args.seconds)


def run_query(args: argparse.Namespace, sides: Sequence[Side]) -> None:
    questions = JSON if args.shape == "json" else LOGFMT
    if args.only:
        questions = [q for q in questions if q.name in args.only.split(",")]
    workload = workload_until(
        time.time_ns(), lines_count=args.query_lines, line_shape=args.shape
    )
    bodies = list(bodies_of(workload, protobuf=True))
    for side in sides:
        _pushed(side, bodies)
    for state in args.states.split(","):
        if state == "flushed":
            for side in sides:
                side.flush()
        measure_queries(sides, workload, questions, rounds=args.rounds, state=state)


RUNS = {"push": run_push, "latency": run_latency, "query": run_query}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="with commas")
    parser.add_argument("--lines", type=int, default=500_000, help="of a push round")
    parser.add_argument("--query-lines", type=int, default=2_000_000)
    parser.add_argument("--push-rounds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7, help="of each question")
    parser.add_argument("--states", default="pushed,flushed", help="asked in these")
    parser.add_argument("--only", help="names of questions, with commas")
    parser.add_argument("--shape", choices=("logfmt", "json"), default="logfmt")
    parser.add_argument("--seconds", type=float, default=8, help="of pushes at half")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    settings = dict(one.split("=", 1) for one in args.set)
    for part in args.parts.split(","):
        if part == "ring":
            measure_ring()
            continue
        with sides_of(settings) as sides:
            RUNS[part](args, sides)


if __name__ == "__main__":
    main()
