"""Queries over standard input: no server is asked, the language is the same."""

import contextlib
import io
import json
import os

import pytest

LINES = b"level=info one\n\nlevel=error two\nlevel=error \x1b[31m\xff three"


@pytest.fixture
def stdin(monkeypatch):
    """Return a function that puts bytes into standard input."""

    with contextlib.ExitStack() as opened:

        def put(written):
            reading, writing = os.pipe()
            os.write(writing, written)
            os.close(writing)
            file = opened.enter_context(os.fdopen(reading, "rb"))
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))

        yield put


@pytest.mark.parametrize("query", ['|= "error"', '{any="thing"} |= "error"'])
def test_lines_are_filtered_with_and_without_a_selector(run, stdin, query):
    stdin(LINES)

    status, out, err = run("--stdin", "query", query, "--output=raw")

    assert status == 0
    assert out.splitlines() == ["level=error \x1b[31m\ufffd three", "level=error two"]
    assert "standard input" in err
    assert "http" not in err


def test_lines_come_in_their_order_if_asked(run, stdin):
    stdin(b"".join(b"%d\n" % number for number in range(5_000)))

    _, out, _ = run("query", "--stdin", "--forward", "-o", "raw", '|~ "."', "-q")

    assert out.split() == [str(number) for number in range(5_000)]


def test_labels_are_those_of_the_pipeline(run, stdin):
    stdin(LINES)

    _, out, _ = run(
        "query", "--stdin", "| logfmt | level=`info`", "--include-common-labels", "-q"
    )

    assert out.split(" ", 1)[1] == '{level="info", source="logcli"} level=info one\n'


@pytest.mark.parametrize("command", ["query", "instant-query"])
def test_lines_are_counted_at_one_moment(run, stdin, command):
    stdin(LINES)

    query = 'sum by (level) (count_over_time({a="b"} | logfmt [1m]))'
    status, out, _ = run(command, "--stdin", "-q", query)

    counts = {each["metric"]["level"]: each["value"][1] for each in json.loads(out)}
    assert status == 0
    assert counts == {"info": "1", "error": "2"}


def test_nothing_is_an_answer(run, stdin):
    stdin(b"")

    assert run("query", "--stdin", '|= "x"', "-q")[:2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("query", '|~ "["'), 1),
        (("instant-query", '|= "x"'), 1),
        (("query", "x", "--parallel-max-workers=2"), 2),
        (("query", '|= "x"', "--tail"), 2),
        (("labels",), 2),
    ],
)
def test_what_can_not_be_asked_is_refused(run, stdin, arguments, status):
    stdin(LINES)

    ended, out, err = run(*arguments, "--stdin")

    assert (ended, out) == (status, "")
    assert err
