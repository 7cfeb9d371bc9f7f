"""Asking for a long range in parts: what is cut, what is written, what is skipped."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from loki_py.client.connection import Connections, RequestFailed

START_S = 1_767_225_600  # 2026-01-01T00:00:00Z
RANGE = ("--from=2026-01-01T00:00:00Z", "--to=2026-01-01T00:45:00Z")
CUT = ("--parallel-duration=20m", "--parallel-max-workers=3")
NAMES = [
    "x_20260101T000000_20260101T002000.part",
    "x_20260101T002000_20260101T004000.part",
    "x_20260101T004000_20260101T004500.part",
]


class Store:
    """One entry a minute; what is asked for again comes again."""

    def __init__(self):
        self.asked = []
        self.fails_at = None
        self.kind = "streams"

    def call(self, _method, path, *_):
        asked = dict(parse_qsl(urlsplit(path).query))
        start_s, end_s = int(asked["start"]) // 10**9, int(asked["end"]) // 10**9
        self.asked.append((start_s - START_S, end_s - START_S))
        if self.fails_at == start_s - START_S:
            raise RequestFailed("out of order", status=500)
        times = [at for at in range(START_S, START_S + 2_700, 60) if start_s <= at]
        times = [at for at in times if at < end_s][:: self.step_of(asked)]
        values = [[str(at * 10**9), str((at - START_S) // 60)] for at in times]
        found = [{"stream": {"app": "a"}, "values": values[: int(asked["limit"])]}]
        return json.dumps({"data": {"resultType": self.kind, "result": found}}).encode()

    @staticmethod
    def step_of(asked):
        return 1 if asked["direction"] == "forward" else -1


@pytest.fixture
def store(monkeypatch):
    store = Store()
    monkeypatch.setattr(Connections, "_request_once", store.call)
    return store


@pytest.fixture
def query(store, run, monkeypatch, tmp_path):  # noqa: ARG001
    """Return a function: options to exit status, lines, errors."""
    monkeypatch.chdir(tmp_path)

    def query(*options):
        status, out, err = run("query", "x", "-o", "raw", *RANGE, *options)
        return status, out.split(), err

    return query


MINUTES = [str(number) for number in range(45)]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_parts_are_files_that_hold_everything_once(query, tmp_path):
    status, out, _ = query(*CUT, "--part-path-prefix=x", "--forward", "--batch=7")

    assert (status, out) == (0, [])
    assert names_in(tmp_path) == NAMES
    assert "".join((tmp_path / n).read_text() for n in NAMES).split() == MINUTES


@pytest.mark.parametrize("forward", [True, False])
def test_merged_parts_are_in_order_and_gone(query, tmp_path, forward):
    order = ["--forward"] if forward else []

    _, out, _ = query(*CUT, "--part-path-prefix=x", "--merge-parts", *order)

    assert out == (MINUTES if forward else MINUTES[::-1])
    assert names_in(tmp_path) == []


def test_merged_parts_may_be_kept(query, tmp_path):
    query(*CUT, "--part-path-prefix=x", "--merge-parts", "--keep-parts")

    assert names_in(tmp_path) == NAMES


def test_parts_that_are_there_are_not_asked_for_again(store, query, tmp_path):
    (tmp_path / NAMES[1]).write_text("done\n")

    _, out, err = query(*CUT, "--part-path-prefix=x", "--merge-parts", "--forward")

    assert out == [*MINUTES[:20], "done", *MINUTES[40:]]
    assert f"{NAMES[1]} is there already" in err
    assert (1200, 2400) not in store.asked


def test_parts_that_are_there_are_overwritten_where_asked(query, tmp_path):
    (tmp_path / NAMES[1]).write_text("done\n")

    query(*CUT, "--part-path-prefix=x", "--overwrite-completed-parts")

    assert (tmp_path / NAMES[1]).read_text().split() == MINUTES[20:40][::-1]


def test_a_part_that_fails_leaves_those_that_are_done(store, query, tmp_path):
    store.fails_at = 2_400

    status, _, err = query(*CUT, "--part-path-prefix=x", "--forward")

    assert status == 1
    assert "out of order" in err
    assert names_in(tmp_path) == NAMES[:2]


def test_without_files_every_entry_is_printed_once(query):
    _, out, _ = query(*CUT, "--limit=3")

    assert sorted(out, key=int) == MINUTES


def test_one_worker_writes_one_part_under_the_limit(query, tmp_path):
    query("--part-path-prefix=x", "--limit=3", "--forward")

    [name] = names_in(tmp_path)
    assert name == "x_20260101T000000_20260101T004500.part"
    assert (tmp_path / name).read_text().split() == MINUTES[:3]


def test_metric_queries_are_not_cut(store, query):
    store.kind = "matrix"

    status, _, err = query(*CUT)

    assert status == 1
    assert "a metric query is not asked in parts" in err


@pytest.mark.parametrize("duration", ["0s", "10ms", "x"])
def test_parts_that_are_too_short_are_refused(store, query, duration):
    assert query(f"--parallel-duration={duration}")[0] == 2
    assert store.asked == []
