"""`docs/clients.md`: its snippets are run by tests, its versions are those pinned."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text()
FOLDER = ROOT / "tests" / "clients"
PROGRAMS = [
    *FOLDER.glob("programs/*.py"),
    *FOLDER.glob("node/*.js"),
    FOLDER / "syslog-ng.conf",
]
SNIPPETS = re.findall(r"(?ms)^```\w*\n(.*?)^```", PAGE)


@pytest.mark.parametrize(
    "snippet", SNIPPETS, ids=lambda text: text.split("(")[0].strip()
)
def test_snippets_are_parts_of_programs_that_tests_run(snippet):
    assert any(snippet in program.read_text() for program in PROGRAMS)


def test_versions_are_the_ones_that_are_pinned():
    lock = (ROOT / "requirements.lock").read_text()
    pinned = dict(re.findall(r"(?m)^([\w-]+)==(\S+)", lock))
    pinned |= json.loads((FOLDER / "node" / "package.json").read_text())["dependencies"]

    told = re.findall(r"(?m)^\| \[([\w-]+)[^|]*\| (\d[\d.]+) \|", PAGE)

    assert len(told) == 6
    assert told == [(name, pinned[name]) for name, _ in told]


def test_the_lock_file_of_node_names_no_registry():
    lock = json.loads((FOLDER / "node" / "package-lock.json").read_text())

    assert all("resolved" not in package for package in lock["packages"].values())
