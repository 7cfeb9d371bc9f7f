"""A cluster of real processes over a real etcd: started, killed, frozen, healed.

Processes share a directory as their object store. Writers push lines that no
other push has, with a client's normal retries, and remember what was promised.
"""

import contextlib
import datetime as dt
import http.client
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

from e2e.harness import Api, until
from fakes.etcd_server import EtcdServer

from bench.ports import free_port
from bench.server import Server, is_ready

READY_S_MAX = 120.0
RETRY_S = 0.1
RETRIES_S_MAX = 60.0
NS_PER_S = 1_000_000_000
REASONS_MAX = 5
REASON_CHARS_MAX = 400
WITH_INGESTER = {"all", "write", "ingester"}

# Others take over quickly, so that tests need not wait for it.
QUICK = {
    "common.ring.heartbeat_period": "500ms",
    "common.ring.heartbeat_timeout": "4s",
    "common.ring.kvstore.etcd.dial_timeout": "1s",
    "ingester_client.remote_timeout": "2s",
}


class Node(Server):
    """One process of a cluster.

    Attributes:
        skew_s: by how much its wall clock is before that of others.
    """

    skew_s = 0

    def __init__(self, cluster: "Cluster", name: str, settings) -> None:
        self.name = name
        folder = cluster.folder / name
        folder.mkdir()
        super().__init__(
            {
                **cluster.settings,
                "common.instance_id": name,
                "server.grpc_listen_port": str(free_port()),
                **settings,
            },
            directory=folder,
        )
        self.spawned_s = 0.0

    @property
    def has_ingester(self) -> bool:
        return self.settings["target"] in WITH_INGESTER

    def spawn(self) -> None:
        """Start without waiting until it is ready."""
        self.spawned_s = time.time()
        with contextlib.suppress(TimeoutError):
            self.start(ready_s_max=-1)

    def wait_ready(self) -> None:
        until(self._is_ready, seconds=READY_S_MAX)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log_tail()
        return is_ready(self.port)

    def ring(self):
        """Return the ring of ingesters as this one sees it, by name."""
        with self.api() as api:
            headers = {"Accept": "application/json"}
            ring = json.loads(api.request("GET", "/ring", headers=headers).body)
        return {shard["id"]: shard for shard in ring["shards"]}

    def sees(self, other: "Node") -> bool:
        """Whether the present life of another one counts as well here."""
        shard = self.ring().get(other.name)
        if shard is None or shard["state"] != "ACTIVE":
            return False
        beat = dt.datetime.fromisoformat(shard["timestamp"])
        return beat.timestamp() > other.spawned_s + other.skew_s

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def api(self) -> Api:
        return Api(self.port)

    def reason_not_ready(self) -> str:
        try:
            with self.api() as api:
                return api.get("/ready").text
        except OSError as error:
            return str(error)


class Cluster:
    """etcd, and some processes that share it. A context manager."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        (folder / "etcd").mkdir()
        self.etcd = EtcdServer(folder / "etcd")
        self.nodes: dict[str, Node] = {}
        self.settings = {
            "common.replication_factor": "3",
            "common.ring.kvstore.store": "etcd",
            "common.storage.filesystem.chunks_directory": str(folder / "chunks"),
            **QUICK,
            **settings,
        }

    def add(self, *names: str, target: str = "all", **settings: str) -> list[Node]:
        """Start processes of one target; return when everybody sees them."""
        nodes = [self.spawn(name, target=target, **settings) for name in names]
        self.settle()
        return nodes

    def spawn(self, name: str, *, target: str = "all", **settings: str) -> Node:
        """Start a process, ready or not."""
        node = self.nodes[name] = Node(self, name, {**settings, "target": target})
        node.spawn()
        return node

    def restart(self, node: Node) -> None:
        """Start a process that ended; return when everybody sees it."""
        node.spawn()
        self.settle()

    def settle(self) -> None:
        """Return when all that run are ready, and each sees every ingester so."""
        running = [node for node in self.nodes.values() if node.process is not None]
        for node in running:
            node.wait_ready()
        for node in running:
            for other in running:
                if other.has_ingester:
                    until(lambda a=node, b=other: a.sees(b), seconds=READY_S_MAX)

    def __enter__(self) -> Self:
        self.etcd.start()
        endpoints = f"[{self.etcd.endpoint}]"
        self.settings["common.ring.kvstore.etcd.endpoints"] = endpoints
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            if node.process is not None:
                node.resume()
                node.kill()
        self.etcd.stop()

    def heal(self) -> None:
        """Let everything run that should."""
        if not self.etcd.is_running:
            self.etcd.start()
        for node in self.nodes.values():
            if node.process is None:
                node.spawn()
            node.resume()
        self.settle()

    def remove(self, node: Node) -> None:
        """Kill a process for ever."""
        node.kill()
        del self.nodes[node.name]


class Load:
    """Threads that push to some processes and ask them, until told to stop.

    Attributes:
        acked, sent: (timestamp ns, line) that were promised, that were sent.
        pushes_s: how long each acknowledged try took.
        refused: statuses of tries that were not acknowledged.
        reasons: what was said with statuses of 500, of pushes and queries.
        queries: statuses of queries, 0 for those without an answer.
        queries_s: how long each query took.
    """

    def __init__(self, nodes, *, writers=3, asks=True, rest_s=0.01, seed=0) -> None:
        self._nodes = nodes
        self._rest_s = rest_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.start_ns = time.time_ns()
        self.selector = f'{{test="{self.start_ns}"}}'
        self.sent = set()
        self.acked = set()
        self.pushes_s = []
        self.refused = Counter()
        self.reasons = []
        self.given_up = 0
        self.queries = Counter()
        self.queries_s = []
        self.wrong = []
        self._threads = [
            threading.Thread(target=self._write, args=(n, seed), daemon=True)
            for n in range(writers)
        ]
        if asks:
            self._threads.append(threading.Thread(target=self._ask, daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(RETRIES_S_MAX + 30)
            assert not thread.is_alive()

    def acked_count(self) -> int:
        with self._lock:
            return len(self.acked)

    def promised(self) -> set[tuple[int, str]]:
        """Return what was acknowledged until now."""
        with self._lock:
            return set(self.acked)

    def found(self, node: Node) -> list[tuple[int, str]]:
        """Return every line of this load that a process finds."""
        with node.api() as api:
            end_ns = time.time_ns() + NS_PER_S
            return api.lines(self.selector, start_ns=self.start_ns, end_ns=end_ns)

    def grows(self, lines: int = 300) -> None:
        """Return when so many more lines were acknowledged."""
        wanted = self.acked_count() + lines
        until(lambda: self.acked_count() >= wanted, seconds=60)

    def answered(self, queries: int = 3) -> None:
        """Return when so many more queries were answered well."""
        wanted = self.queries[200] + queries
        until(lambda: self.queries[200] >= wanted, seconds=60)

    def _write(self, number: int, seed: int) -> None:
        rng = random.Random(f"{seed}/{number}")
        while not self._stopping.is_set():
            streams = _lines(rng, number, str(self.start_ns))
            pairs = {pair for _, found in streams for pair in found}
            with self._lock:
                self.sent |= pairs
            self._push_until_taken(streams, pairs, rng)
            time.sleep(self._rest_s)

    def _push_until_taken(self, streams, pairs, rng) -> None:
        """Try again, at any process, as clients do."""
        deadline = time.monotonic() + RETRIES_S_MAX
        while time.monotonic() < deadline:
            node = rng.choice(self._nodes)
            begin = time.monotonic()
            status, text = _pushed(node, streams)
            taken_s = time.monotonic() - begin
            with self._lock:
                if status == 204:
                    self.acked |= pairs
                    self.pushes_s.append(taken_s)
                    return
                self.refused[status] += 1
                self._note_reason(node, status, text)
            if self._stopping.is_set():
                break
            time.sleep(RETRY_S)
        self.given_up += 1

    def _ask(self) -> None:
        rng = random.Random(1)
        while not self._stopping.is_set():
            node = rng.choice(self._nodes)
            with self._lock:
                promised = len(self.acked)
            begin = time.monotonic()
            status, count = self._counted(node)
            taken_s = time.monotonic() - begin
            self.queries[status] += 1
            self.queries_s.append(taken_s)
            if status == 200 and count < promised:
                self.wrong.append((promised, count))
            time.sleep(0.2)

    def _counted(self, node: Node) -> tuple[int, int]:
        """Ask how many lines there are."""
        try:
            with Api(node.port) as api:
                end_ns = time.time_ns() + NS_PER_S
                seconds = (end_ns - self.start_ns) // NS_PER_S + 1
                answer = api.get(
                    "/loki/api/v1/query",
                    query=f"sum(count_over_time({self.selector}[{seconds}s]))",
                    time=end_ns,
                )
        except (OSError, http.client.HTTPException):
            return 0, 0
        if answer.status != 200:
            with self._lock:
                self._note_reason(node, answer.status, answer.text)
            return answer.status, 0
        result = json.loads(answer.body)["data"]["result"]
        return 200, int(result[0]["value"][1]) if result else 0

    def _note_reason(self, node: Node, status: int, text: str) -> None:
        if status == 500 and len(self.reasons) < REASONS_MAX:
            text = text.strip()[:REASON_CHARS_MAX]
            self.reasons.append(f"{time.time():.3f} {node.name}: {text}")


def _pushed(node: Node, streams) -> tuple[int, str]:
    try:
        with Api(node.port) as api:
            answer = api.push(streams)
            return answer.status, answer.text
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)


def _lines(rng: random.Random, writer: int, test: str):
    now_ns = time.time_ns()
    return [
        (
            {"test": test, "writer": str(writer), "stream": str(number)},
            [
                (now_ns + n, f"{writer}/{number}/{n} {rng.getrandbits(64):016x}")
                for n in range(rng.randint(1, 10))
            ],
        )
        for number in rng.sample(range(20), 3)
    ]


def percentile(values, share: float) -> float:
    """Return the value that this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def check_found(load: Load, nodes) -> None:
    """Fail unless each process finds what was promised once, and nothing else."""
    assert load.wrong == []
    for node in nodes:
        promised = load.promised()
        counts = Counter(load.found(node))
        assert [pair for pair, count in counts.items() if count > 1] == []
        assert promised
        assert promised - counts.keys() == set()
        assert counts.keys() - load.sent == set()
        found = f"{node.name} finds {len(promised)} of {len(promised)} promised lines"
        print(f"{found}, each once")  # noqa: T201  # the test's figures


def check_ring(nodes) -> None:
    """Fail unless all see the same ring, and no token in it has two owners."""
    rings = [
        {name: tuple(shard["tokens"]) for name, shard in node.ring().items()}
        for node in nodes
    ]
    assert all(ring == rings[0] for ring in rings)
    owned = Counter(token for tokens in rings[0].values() for token in tokens)
    assert owned
    assert max(owned.values()) == 1


def told(title: str, load: Load) -> None:
    """Print the figures of a run, for who reads the log of a test."""
    figures = {
        "acknowledged lines": len(load.acked),
        "refused tries": dict(load.refused),
        "given up": load.given_up,
        "push p50 ms": round(percentile(load.pushes_s, 0.5) * 1000, 1),
        "push p99 ms": round(percentile(load.pushes_s, 0.99) * 1000, 1),
        "queries": dict(load.queries),
    }
    if load.queries_s:
        figures["slowest query ms"] = round(max(load.queries_s) * 1000)
    told = [f"\n{title}: {figures}", *load.reasons]
    print("\n".join(told))  # noqa: T201  # the test's figures
