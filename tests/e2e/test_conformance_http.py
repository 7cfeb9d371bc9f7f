"""The recorded corpus over HTTP: the same answers in memory, flushed, restarted.

The corpus and what counts as the same answer: tests/conformance/README.md.
"""

import json
from collections import defaultdict
from pathlib import Path

import pytest
from conformance import replay
from harness import Api, Server

FOLDER = Path(replay.__file__).parent
TEXTS_ALIKE_MIN = 0.95
SETTINGS = {
    "auth_enabled": "true",
    "ingester.unordered_writes_window": "0",
    "limits_config.max_entries_limit_per_query": "5000",
    "limits_config.max_query_series": "500",
    "limits_config.shard_aggregations": "approx_topk",
}


def load_cases():
    cases = defaultdict(list)
    for path in sorted((FOLDER / "cases").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            case = json.loads(line)
            cases[case["category"]].append(case)
    return cases


CASES = load_cases()


def push_corpus(url):
    for path in sorted((FOLDER / "push").glob("*.json")):
        is_otlp = path.name.endswith(".otlp.json")
        status, body = replay.call(
            url,
            "/otlp/v1/logs" if is_otlp else "/loki/api/v1/push",
            path.read_bytes(),
            {"Content-Type": "application/json"},
        )
        assert status == 204, (path.name, status, body)


@pytest.fixture(scope="module", params=["memory", "flushed", "restarted"])
def url(request):
    with Server(SETTINGS) as server:
        server.start()
        push_corpus(server.url)
        if request.param != "memory":
            with Api(server.port, replay.TENANT) as api:
                api.flush()
        if request.param == "restarted":
            server.restart()
        yield server.url


def ask(url, case):
    """Return the answer, and why it is not the recorded one."""
    got = replay.ask(url, case["path"], case["params"])
    recorded = (case["status"], case["body"])
    query = case["params"].get("query", "")
    return got, replay.same(recorded, got, query, case["path"])


@pytest.mark.parametrize("category", CASES)
def test_answers_are_the_recorded_ones(url, category):
    differences = [
        f"{case['id']} {case['params']}: {why}"
        for case in CASES[category]
        if (why := ask(url, case)[1]) is not None
    ]

    total = len(CASES[category])
    shown = "\n".join(differences[:5])
    assert not differences, f"{len(differences)} of {total} differ\n{shown}"


def test_error_texts_are_the_recorded_ones(url):
    failed = [c for cases in CASES.values() for c in cases if c["status"] >= 400]
    different = []
    for case in failed:
        recorded = replay.error_text(case["body"])
        text = replay.error_text(ask(url, case)[0][1])
        if text != recorded:
            different.append(f"{case['params']}\n  {recorded}\n  {text}")

    alike = 1 - len(different) / len(failed)
    assert alike >= TEXTS_ALIKE_MIN, "\n".join([f"{alike:.1%}", *different[:10]])
