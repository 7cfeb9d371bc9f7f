"""Our own logs: their form, their level, and the events of libraries."""

import json
import logging
import sys

import pytest

from loki_py.runtime.logs import Throttle, configure_logs, logger_of


def test_event_is_one_logfmt_line(capsys):
    configure_logs("info")

    logger_of("wal").info("segment opened", number=3, path="a b")

    line = capsys.readouterr().err
    assert line.startswith("ts=")
    assert line.endswith(
        'level=info component=wal msg="segment opened" number=3 path="a b"\n'
    )


def test_event_is_json_where_wanted(capsys):
    configure_logs("info", log_format="json")

    logger_of("wal").warning("odd")

    event = json.loads(capsys.readouterr().err)
    assert (event["level"], event["msg"]) == ("warn", "odd")


def test_level_can_change_while_running(capsys):
    level = configure_logs("warn")
    log = logger_of("x")

    log.info("dropped")
    level.set("debug")
    log.debug("kept")

    assert "dropped" not in (told := capsys.readouterr().err)
    assert "kept" in told


def test_unknown_level_changes_nothing():
    level = configure_logs("warn")

    with pytest.raises(ValueError, match='unrecognized log level "loud"'):
        level.set("loud")

    assert level.name == "warn"


def test_library_events_become_ours(capsys):
    configure_logs("info")

    logging.getLogger("uvicorn").warning("careful %s", 7)

    assert 'level=warn component=uvicorn msg="careful 7"' in capsys.readouterr().err


def test_exception_is_told_in_one_line(capsys):
    configure_logs("info")

    try:
        sys.intern(3)
    except TypeError:
        logger_of("x").exception("bad")

    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "TypeError" in told


def test_throttle_lets_one_through_and_counts_the_others():
    throttle = Throttle(period_ns=10)

    assert [throttle.take(now_ns) for now_ns in (100, 101, 109, 110, 120)] == [
        0,
        None,
        None,
        2,
        0,
    ]
