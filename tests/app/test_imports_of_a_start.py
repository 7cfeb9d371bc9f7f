"""What a process imports: no more than it uses."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

IMPORTED = "import sys, json; print(json.dumps(sorted(sys.modules)))"


def imported_by(*statements):
    """Return the modules that a fresh process has after these."""
    program = "\n".join((*statements, IMPORTED))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True
    )
    return set(json.loads(done.stdout))


def test_command_line_starts_without_what_the_server_needs():
    found = imported_by("import loki_py.app.main")

    assert not found & {"numpy", "polars", "pyarrow", "pydantic", "rich", "uvicorn"}


def test_plain_server_starts_without_what_others_need():
    """Clusters need gRPC, buckets boto3, caches pymemcache, signed tokens PyJWT."""
    found = imported_by(
        "from loki_py.app.memory import leave_out_unused",
        "leave_out_unused()",
        "import loki_py.app.serve",
        "import loki_py.app.settings",
        "import pyarrow; pyarrow.array([1])",
    )

    assert not found & {
        "aetcd", "boto3", "fastapi", "grpc", "jwt", "opentelemetry", "pandas",
        "pymemcache", "rich",
    }  # fmt: skip
