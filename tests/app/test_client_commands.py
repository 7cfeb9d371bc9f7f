"""Client commands against a server that is a function: output, exit statuses."""

import json
from urllib.parse import quote

import pytest

from loki_py.app import main
from loki_py.client.connection import RequestFailed

T = 1_767_225_600_000_000_000


def data(kind, result):
    return {"status": "success", "data": {"resultType": kind, "result": result}}


STREAMS = data(
    "streams",
    [{"stream": {"app": "a"}, "values": [[str(T + 1), "two"], [str(T), "one"]]}],
)


def test_query_prints_entries_and_notes(server, run):
    server.answers["/loki/api/v1/query_range"] = STREAMS

    status, out, err = run("query", '{app="a"}', "--timezone", "UTC")

    assert status == 0
    assert out == ("2026-01-01T00:00:00Z {} two\n2026-01-01T00:00:00Z {} one\n")
    assert "http://localhost:3100/loki/api/v1/query_range?" in err
    assert 'Common labels: {app="a"}' in err


def test_query_asks_what_its_options_say(server, run):
    server.answers["/loki/api/v1/query_range"] = STREAMS

    run(
        "query",
        "x",
        "--from=2026-01-01T00:00:00Z",
        "--to=2026-01-01T01:00:00Z",
        "--limit=2",
        "--forward",
        "--step=1m",
        "-o",
        "raw",
    )

    assert server.asked[0] == (
        "/loki/api/v1/query_range",
        {
            "query": "x",
            "start": str(T),
            "end": str(T + 3_600 * 10**9),
            "limit": "2",
            "direction": "forward",
            "step": "1m",
        },
    )


def test_metric_query_prints_json(server, run):
    server.answers["/loki/api/v1/query_range"] = data("matrix", [{"metric": {}}])

    status, out, _ = run("query", "rate(x)", "-q")

    assert status == 0
    assert json.loads(out) == [{"metric": {}}]


def test_instant_query_prints_json(server, run):
    server.answers["/loki/api/v1/query"] = data("vector", [])

    status, out, _ = run("instant-query", "x", "--now", "1767225600", "-q")

    assert (status, out) == (0, "[]\n")
    assert server.asked[0][1]["time"] == str(T)


def test_labels_and_values_are_one_a_line(server, run):
    server.answers["/loki/api/v1/labels"] = {"status": "success", "data": ["a", "b"]}
    server.answers["/loki/api/v1/label/a/values"] = {"status": "success"}

    assert run("labels", "-q")[1] == "a\nb\n"
    assert run("labels", "a", "-q")[1] == ""


def test_series_are_label_sets_or_a_table(server, run):
    server.answers["/loki/api/v1/series"] = {
        "status": "success",
        "data": [{"b": "2", "a": "1"}, {"a": "1"}],
    }

    assert run("series", "{}", "-q")[1] == '{a="1", b="2"}\n{a="1"}\n'
    assert "Total Streams:  2" in run("series", "--analyze-labels", "-q")[1]


def test_refused_query_is_status_1_and_one_line(server, run):
    server.answers["/loki/api/v1/query_range"] = RequestFailed("no", status=400)

    status, out, err = run("query", "x", "-q")

    assert (status, out, err) == (1, "", "loki-py: no\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("query",),
        ("query", "x", "--output", "xml"),
        ("query", "x", "--since", "soon"),
        ("query", "x", "--from", "soon"),
        ("query", "x", "--timezone", "Mars"),
        ("push", "--label", "novalue"),
        ("push", "--timestamp-regex", "("),
        ("push", "--timestamp-format", "%Y"),
        ("labels", "--ca-cert", "/no/such/file"),
        ("nonsense",),
        ("serve", "--set", "nonsense=1"),
    ],
)
def test_wrong_command_is_status_2(run, arguments):
    assert run(*arguments)[0] == 2


def test_push_sends_each_line_once_with_its_label(server, run, tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"one\r\n\ntwo \xff\nlast")

    status, _, _ = run("push", "--label", "app=a", path)

    streams = [stream for push in server.pushed for stream in push["streams"]]
    values = [value for stream in streams for value in stream["values"]]
    assert status == 0
    assert all(stream["stream"] == {"app": "a"} for stream in streams)
    assert [line for _, line in values] == [
        "one\r",
        "",
        "two \ufffd",
        "last",
    ]
    stamps = [int(stamp) for stamp, _ in values]
    assert stamps == sorted(set(stamps))


def test_several_files_are_told_apart_by_filename(server, run, tmp_path):
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text("x\n")

    run("push", "--label", "app=a", tmp_path / "a.log", tmp_path / "b.log")

    names = [push["streams"][0]["stream"]["filename"] for push in server.pushed]
    assert names == [str(tmp_path / "a.log"), str(tmp_path / "b.log")]


def test_push_is_cut_into_requests(server, run, tmp_path):
    (tmp_path / "a").write_text("x\n" * 10)

    run("push", "--label", "app=a", "--batch-lines", "4", tmp_path / "a")

    counts = [len(push["streams"][0]["values"]) for push in server.pushed]
    assert counts == [4, 4, 2]


@pytest.mark.parametrize("status", [429, 500, 503, 0])
def test_push_is_repeated_while_the_server_is_busy(server, run, tmp_path, status):
    (tmp_path / "a").write_text("x\n")
    server.refusals = [RequestFailed("busy", status=status)] * 3

    assert run("push", "--label", "app=a", tmp_path / "a")[0] == 0
    assert len(server.pushed) == 1


def test_push_that_is_wrong_is_told_and_not_repeated(server, run, tmp_path):
    (tmp_path / "a").write_text("x\n" * 5)
    server.refusals = [RequestFailed("too old", status=400)]

    status, _, err = run(
        "push", "--label", "app=a", "--batch-lines", "3", tmp_path / "a"
    )

    assert status == 1
    assert "too old" in err
    assert len(server.pushed) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_push_ends_at_once_where_we_may_not(server, run, tmp_path, status):
    (tmp_path / "a").write_text("x\n" * 10)
    server.refusals = [RequestFailed("who?", status=status)] * 10

    exit_status, _, err = run(
        "push", "--label", "app=a", "--batch-lines", "1", tmp_path / "a"
    )

    assert exit_status == 1
    assert len(server.asked) == 1
    assert err.startswith("loki-py: who?\n")
    assert ("--org-id" in err) == (status == 401)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "not a time of 10, 13, 16 or 19 digits: '12'"),
        (["--timestamp-format", "%Y"], "time data '12' does not match format '%Y'"),
        (["--timestamp-format", "%Q"], "'Q' is a bad directive in format '%Q'"),
    ],
)
def test_time_that_can_not_be_read_is_told(server, run, tmp_path, options, told):
    path = tmp_path / "a"
    path.write_text("at 12 x\n")

    status, _, err = run(
        "push", "--label", "app=a", "--timestamp-regex", r"\d+", *options, path
    )

    assert (status, err) == (1, f"loki-py: {path}: {told}\n")
    assert server.pushed == []


def test_push_gives_up_when_the_server_stays_away(server, run, tmp_path):
    (tmp_path / "a").write_text("x\n")
    server.refusals = [RequestFailed("gone")] * 100

    assert run("push", "--label", "app=a", "--retries", "2", tmp_path / "a")[0] == 1
    assert len(server.asked) == 3


def test_missing_file_is_status_1(run, tmp_path):
    status, _, err = run("push", "--label", "app=a", tmp_path / "gone")

    assert status == 1
    assert "gone" in err


@pytest.mark.parametrize("zone", ["Local", "local", "UTC", "Europe/Berlin"])
def test_times_are_shown_and_read_in_the_zone(server, run, monkeypatch, zone):
    monkeypatch.setenv("TZ", "UTC")
    server.answers["/loki/api/v1/query_range"] = STREAMS
    hour = 1 if "/" in zone else 0

    _, out, _ = run(
        *("query", "x", "--timezone", zone, "--no-labels", "-q", "--include-label=x"),
        *(f"--from=2026-01-01T0{hour}:00:00", f"--to=2026-01-01T0{hour}:00:01"),
    )

    offset = "+01:00" if hour else "Z"
    assert out.startswith(f"2026-01-01T0{hour}:00:00{offset} two\n")
    assert server.asked[0][1]["start"] == str(T)


def test_options_may_stand_before_the_command(server, run):
    """As with logcli."""
    server.answers["/loki/api/v1/labels"] = {"data": ["app"]}

    status, out, err = run(
        *("--addr=http://host:1", "-q", "-o", "raw", "--org-id", "t"), "labels"
    )

    assert (status, out, err) == (0, "app\n", "")


@pytest.mark.parametrize("name", ["a b", "ü/x", "x?y=1", "../series"])
def test_values_are_those_of_the_label_whatever_its_name(server, run, name):
    server.answers[f"/loki/api/v1/label/{quote(name, safe='')}/values"] = {"data": []}

    assert run("labels", name, "-q") == (0, "", "")


def test_server_that_is_down_is_told_with_where_it_is_looked_for(server, run):
    server.answers["/loki/api/v1/labels"] = RequestFailed("no answer from http://h")

    status, _, err = run("labels", "-q")

    assert status == 1
    assert err == f"loki-py: no answer from http://h\n{main.HINTS[0]}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from=yesterday",), "write it as 2026-01-31T18:30:00Z"),
        (("--since=5",), "as 5m, 1h30m or 2d"),
        (("--addr=localhost:3100",), "such as http://localhost:3100"),
        (("--timezone=Nowhere",), "Local, UTC or a name such as"),
        (("--to=2026-01-01", "--from=2026-01-02"), "--from is not before --to"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_right(run, arguments, told):
    status, _, err = run("labels", *arguments)

    assert status == 2
    assert told in " ".join(err.replace("│", "").split())
