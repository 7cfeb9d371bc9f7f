"""bench/compare: what it asks of a Loki and of a VictoriaLogs, and what it prints."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from harness import Server

PROGRAM = Path(__file__).parents[2] / "bench" / "comparison.py"
LINES = 5_000

# The questions, and what is asked beside them.
LOGFMT = {
    "needle", "newest", "filter_limit", "rate_by_app", "errors_by_app", "regex_count",
    "by_status", "quantile", "top_paths",
}  # fmt: skip
STATS = b"""{"status": "success", "data": {"resultType": "matrix", "result": [
    {"metric": {"app": "app7"}, "values": [[1, "2"], [2, "3"]]}]}}"""


TAKEN = Counter()
"""What the fake was given."""


class FakeVictoriaLogs(BaseHTTPRequestHandler):
    """Answers as VictoriaLogs does, with always the same."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Take a push, or flush."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        if path == "/insert/loki/api/v1/push":
            entries = (len(each["values"]) for each in json.loads(body)["streams"])
            TAKEN["lines"] += sum(entries)
            self.answer(204, b"")
        elif path == "/internal/force_flush":
            TAKEN["flushes"] += 1
            self.answer(200, b"")
        else:
            self.answer(404, b"")

    def do_GET(self):
        """Answer a question: one line, or one series of two points."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        assert float(query["start"]) < float(query["end"])
        if url.path == "/select/logsql/query":
            assert int(query["limit"]) > 0
            self.answer(200, b'{"_msg": "a line"}\n')
        elif url.path == "/select/logsql/stats_query_range":
            assert query["step"].endswith("s")
            self.answer(200, STATS)
        else:
            self.answer(404, b"")

    def answer(self, status, body):
        """Send it."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def compared(*arguments):
    """Return the JSON lines of a comparison."""
    command = [sys.executable, str(PROGRAM), f"--lines={LINES}", "--rounds=1"]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_three_stores_are_filled_and_asked_and_their_ratios_printed():
    """This store stands for a Loki too; what it was given twice, it holds once."""
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), FakeVictoriaLogs) as fake,
        Server() as server,
    ):
        threading.Thread(target=fake.serve_forever, daemon=True).start()
        server.start()
        ours = server.url, str(server.pid)
        peer = f"http://127.0.0.1:{fake.server_port}", str(os.getpid())

        reports = compared("--this", *ours, "--loki", *ours, "--victorialogs", *peer)
        fake.shutdown()

    assert not [each for each in reports if "error" in each]
    asked = {(each["store"], each["measured"]) for each in reports if "store" in each}
    stores = ("this", "loki", "victorialogs")
    assert asked == {(s, q) for s in stores for q in (*LOGFMT, "ingest")}
    assert TAKEN == {"lines": LINES, "flushes": 1}
    ratios = {
        each["ratios_against"]: each for each in reports if "ratios_against" in each
    }
    assert ratios.keys() == {"loki", "victorialogs"}
    assert all(ratios[name][question] > 0 for name in ratios for question in LOGFMT)
    assert ratios["loki"]["differ"] == []
