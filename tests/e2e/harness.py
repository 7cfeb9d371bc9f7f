"""Push to and ask a real server over plain HTTP, and write from several threads.

No client library stands between: what the server sent is what a test sees.
"""

import http.client
import json
import random
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.server import Server

__all__ = ["Answer", "Api", "Ledger", "Server", "Writers", "until"]

PUSH = "/loki/api/v1/push"
NS_PER_S = 1_000_000_000
ANSWER_S_MAX = 60
LINES_MAX = 5_000_000
WRITERS = 4


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.body.decode()

    def data(self):
        """Return `data` of a successful JSON answer."""
        assert self.status == 200, self
        return json.loads(self.body)["data"]


class Api:
    """The HTTP API of one server, over one connection that is kept."""

    def __init__(self, port: int, tenant: str | None = None) -> None:
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=ANSWER_S_MAX
        )
        self._tenant = tenant

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def request(self, method, path, *, body=None, headers=None, params=None) -> Answer:
        """Send one request.

        Raises: OSError, HTTPException where the server goes away; the next
            request opens a new connection.
        """
        target = path
        if params:
            target += "?" + urllib.parse.urlencode(params, doseq=True)
        sent = {} if self._tenant is None else {"X-Scope-OrgID": self._tenant}
        sent |= headers or {}
        try:
            self._connection.request(method, target, body=body, headers=sent)
            answer = self._connection.getresponse()
            return Answer(answer.status, answer.read(), dict(answer.getheaders()))
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def get(self, path, **params) -> Answer:
        return self.request("GET", path, params=params)

    def push(self, streams) -> Answer:
        """Push [(labels, [(timestamp ns, line), …]), …] as JSON."""
        return self.request(
            "POST",
            PUSH,
            body=json.dumps(push_body(streams)).encode(),
            headers={"Content-Type": "application/json"},
        )

    def flush(self) -> None:
        answer = self.request("POST", "/flush")
        assert answer.status in {200, 204}, answer

    def query_range(self, query, **params) -> Answer:
        return self.get("/loki/api/v1/query_range", query=query, **params)

    def lines(self, query, *, start_ns, end_ns, limit=LINES_MAX):
        """Return the (timestamp ns, line) pairs of all streams, oldest first."""
        answer = self.query_range(
            query, start=start_ns, end=end_ns, limit=limit, direction="forward"
        )
        found = sorted(
            (int(ns), line)
            for stream in answer.data()["result"]
            for ns, line in stream["values"]
        )
        # As many as the limit may not be all: nothing would be known of the others.
        assert len(found) < limit or limit < LINES_MAX
        return found

    def total(self, query) -> float:
        """Return the sum of an instant metric query's values; 0 where none."""
        answer = self.get("/loki/api/v1/query", query=query)
        return sum(float(sample["value"][1]) for sample in answer.data()["result"])

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its label sets; 0 where it is missing."""
        total = 0.0
        for line in self.get("/metrics").text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name:
                total += float(value)
        return total


def push_body(streams):
    return {
        "streams": [
            {"stream": labels, "values": [[str(ns), line] for ns, line in pairs]}
            for labels, pairs in streams
        ]
    }


def until(fact: Callable[[], object], *, seconds: float = 30):
    """Return what `fact` returns once it is true; fail when it stays false."""
    deadline = time.monotonic() + seconds
    while True:
        found = fact()
        if found:
            return found
        assert time.monotonic() < deadline, f"not so after {seconds} s: {fact}"
        time.sleep(0.02)


@dataclass
class Ledger:
    """What was pushed, and what was promised.

    Attributes:
        sent: every (timestamp ns, line) that was ever sent.
        acked: those that were answered 204.
        refused: statuses of answers that were not 204.
    """

    sent: set[tuple[int, str]] = field(default_factory=set)
    acked: set[tuple[int, str]] = field(default_factory=set)
    refused: Counter[int] = field(default_factory=Counter)

    def check(self, found: list[tuple[int, str]]) -> None:
        """Fail unless what was acknowledged is found once, and nothing else.

        What was sent and not answered may be there or not.
        """
        counts = Counter(found)
        assert [pair for pair, count in counts.items() if count > 1] == []
        assert self.acked - counts.keys() == set()
        assert counts.keys() - self.sent == set()


class Writers:
    """Threads that push lines that no other push has, until told to stop."""

    def __init__(self, port: int, ledger: Ledger, *, seed: object = 0) -> None:
        self._port = port
        self._ledger = ledger
        self._seed = seed
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(WRITERS)
        ]

    def start(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def join(self) -> "Writers":
        """Stop, and wait for the answers that are still to come."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(ANSWER_S_MAX)
            assert not thread.is_alive()
        return self

    def _run(self, number: int) -> None:
        rng = random.Random(f"{self._seed}/{number}")
        with Api(self._port) as api:
            while not self._stopping.is_set():
                streams = _random_streams(rng, number)
                pairs = {pair for _, found in streams for pair in found}
                self._ledger.sent.update(pairs)
                try:
                    answer = api.push(streams)
                except (OSError, http.client.HTTPException):
                    return
                if answer.status == 204:
                    self._ledger.acked.update(pairs)
                else:
                    self._ledger.refused[answer.status] += 1


ODD_PIECES = ("", "ü€😀", '"quoted\\"', "\t\r\n", "\x00\x1f", "{a=b}", " ", "<&>")


def _random_streams(rng: random.Random, writer: int):
    """Return one push of a few streams; every line in it is unlike any other."""
    now_ns = time.time_ns()
    streams = []
    for number in range(rng.randint(1, 3)):
        labels = {"test": "writers", "writer": str(writer), "stream": str(number)}
        pairs = [
            (
                now_ns + position,
                f"{writer}/{number}/{position} {rng.getrandbits(64):016x} "
                + rng.choice(ODD_PIECES) * rng.randint(0, 40),
            )
            for position in range(rng.randint(1, 50))
        ]
        streams.append((labels, pairs))
    return streams
