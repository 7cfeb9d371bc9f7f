"""A store that is a function: what was asked, and answers in order."""

import json
from urllib.parse import parse_qsl, urlsplit

from loki_py.client.connection import Connections, RequestFailed


class FakeStore:
    """Keeps requests; answers with what `answers` holds, failures raised."""

    def __init__(self):
        self.requests = []
        self.answers = []

    def request(self, method, path, body):
        parts = urlsplit(path)
        self.requests.append((method, parts.path, dict(parse_qsl(parts.query)), body))
        answer = self.answers.pop(0) if self.answers else b""
        if isinstance(answer, RequestFailed):
            raise answer
        return answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    @property
    def pushed(self):
        """The streams of every push."""
        return [
            stream
            for method, _, _, body in self.requests
            if method == "POST"
            for stream in json.loads(body)["streams"]
        ]


def answering(monkeypatch) -> FakeStore:
    """Let every connection of this test lead to a new fake store."""
    store = FakeStore()
    monkeypatch.setattr(
        Connections,
        "_request_once",
        lambda _, method, path, body, _headers: store.request(method, path, body),
    )
    return store


def streams_answer(*streams):
    """Return an answer of [(labels, [(ns, line, extra), …]), …]."""
    return {
        "status": "success",
        "data": {
            "resultType": "streams",
            "encodingFlags": ["categorize-labels"],
            "result": [
                {"stream": labels, "values": [[str(ns), *rest] for ns, *rest in rows]}
                for labels, rows in streams
            ],
            "stats": {},
        },
    }


def samples_answer(kind, result):
    return {"status": "success", "data": {"resultType": kind, "result": result}}
