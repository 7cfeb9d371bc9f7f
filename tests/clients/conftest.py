"""A running store, programs that log to it, and what it then has."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e.harness import Api, until

from bench.ports import free_port
from bench.server import Server

HERE = Path(__file__).parent
TEST_S_MAX = 300
PROGRAM_S_MAX = 60
NPM_S_MAX = 180
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")
CATEGORIZED = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}

MESSAGES = [f"order {number} took {number * 7} ms" for number in range(200)] + [
    "ünïcödé 😀 \u2028 line separator",
    "quotes \" and ' and backslash \\ and \\n",
    "tab\tand newline\nand carriage return\rinside",
    '{"json": ["inside", 1, null]}',
    "<script>alert('&amp;')</script>",
    "\x1b[31mred\x1b[0m and \x01 control",
    "${HOME} $(id) %s %d",
    "long " + "0123456789abcdef" * 1250,
]


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(TEST_S_MAX))


@pytest.fixture(scope="session")
def server():
    with Server({"otlp.grpc_listen_port": str(free_port())}) as server:
        server.start()
        yield server


@pytest.fixture
def fresh_server():
    """A store that holds nothing but what the test pushes."""
    with Server() as server:
        server.start()
        yield server


@pytest.fixture
def api(server):
    with Api(server.port) as api:
        yield api


@pytest.fixture
def app(request):
    """A label value that only this test pushes."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)


@pytest.fixture
def run(server, app):
    """Run a client program with the store's address and what it has to log."""

    def run(*command, arguments=(), messages=MESSAGES):
        done = subprocess.run(
            [*command, server.url, app, *arguments],
            input=json.dumps(messages),
            capture_output=True,
            text=True,
            timeout=PROGRAM_S_MAX,
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def run_python(run):
    def run_python(name, *arguments, messages=MESSAGES):
        program = HERE / "programs" / f"{name}.py"
        return run(sys.executable, program, arguments=arguments, messages=messages)

    return run_python


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory):
    """A folder with the programs for Node.js and the packages of the lock file."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(HERE / "node", folder, dirs_exist_ok=True)
    done = subprocess.run(
        [
            "npm",
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-retries=1",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=NPM_S_MAX,
    )
    for word in OFFLINE:
        if word in done.stderr:
            pytest.skip(f"npm cannot reach its registry: {word}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def run_node(run, node_folder):
    def run_node(name, *arguments, messages=MESSAGES):
        program = node_folder / f"{name}.js"
        return run("node", program, arguments=arguments, messages=messages)

    return run_node


@pytest.fixture
def stored(api):
    """Wait until a selector has so many entries, and return them by time.

    Each is (labels, line, structured metadata).
    """

    def stored(selector):
        def found():
            now_ns = time.time_ns()
            answer = api.request(
                "GET",
                "/loki/api/v1/query_range",
                headers=CATEGORIZED,
                params={
                    "query": selector,
                    "start": now_ns - 3_600_000_000_000,
                    "end": now_ns + 60_000_000_000,
                    "limit": 5000,
                },
            )
            entries = [
                (int(ns), stream["stream"], line, extra.get("structuredMetadata", {}))
                for stream in answer.data()["result"]
                for ns, line, extra in stream["values"]
            ]
            if len(entries) >= len(MESSAGES):
                return sorted(entries, key=lambda entry: entry[0])
            return None

        return [entry[1:] for entry in until(found)]

    return stored
