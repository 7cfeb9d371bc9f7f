"""The command line, run in this process against a server that is a function."""

import json
import sys
from urllib.parse import parse_qsl, urlsplit

import pytest

from loki_py.app import main
from loki_py.client.connection import Connections


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function: arguments to exit status, output, errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["loki-py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


class FakeServer:
    """Answers by path; keeps what it was asked and sent."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.pushed = []
        self.refusals = []

    def call(self, method, path, body, _headers):
        parts = urlsplit(path)
        self.asked.append((parts.path, dict(parse_qsl(parts.query))))
        if method == "POST":
            if self.refusals:
                raise self.refusals.pop(0)
            self.pushed.append(json.loads(body))
            return b""
        answer = self.answers[parts.path]
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer).encode()


@pytest.fixture
def server(monkeypatch):
    server = FakeServer()
    monkeypatch.setattr(Connections, "_request_once", server.call)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return server
