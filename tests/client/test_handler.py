"""The logging handler: batches, repeats, bounds; it never fails or delays a program."""

import logging
import os
import threading

import pytest
from client.fake_store import answering

from loki_py.client import LokiHandler, RequestFailed
from loki_py.client.connection import Connections
from loki_py.client.delivery import Bounds

WAIT_S_MAX = 30
QUICK = Bounds(batch_s=0.01, close_s=WAIT_S_MAX)


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr("loki_py.client.delivery.backoff_s", lambda *_, **__: 0.001)
    return answering(monkeypatch)


@pytest.fixture
def logger(request):
    logger = logging.Logger(f"test.{request.node.name}", logging.DEBUG)  # noqa: LOG001
    yield logger
    for handler in logger.handlers:
        handler.close()


@pytest.fixture
def handler(store, logger):  # noqa: ARG001
    handler = LokiHandler("http://store.invalid:3100", {"app": "a"}, bounds=QUICK)
    logger.addHandler(handler)
    return handler


class Blocked:
    """A store that answers when it is let go."""

    def __init__(self, monkeypatch):
        self.asked = threading.Event()
        self.go = threading.Event()
        monkeypatch.setattr(Connections, "_request_once", self.request)

    def request(self, *_):
        self.asked.set()
        assert self.go.wait(WAIT_S_MAX)
        return b""


def values(store):
    return [value for stream in store.pushed for value in stream["values"]]


def test_records_are_lines_with_level_logger_and_extras(store, handler, logger):
    logger.warning("took %d ms", 7, extra={"order": 12})
    handler.flush()

    [[_, line, metadata]] = values(store)
    assert line == "took 7 ms"
    assert metadata == {"level": "warning", "logger": logger.name, "order": "12"}
    assert store.pushed[0]["stream"] == {"app": "a"}
    assert handler.counts.sent == 1


def test_exceptions_are_in_the_line(store, handler, logger):
    try:
        raise KeyError("missing")  # noqa: TRY301
    except KeyError:
        logger.exception("no order")
    handler.flush()

    [[_, line, _]] = values(store)
    assert line.startswith("no order\nTraceback")
    assert line.endswith("KeyError: 'missing'")


def test_equal_records_are_all_kept(store, handler, logger):
    """The store drops equal entries of one nanosecond, so none share one."""
    record = logger.makeRecord(logger.name, logging.INFO, "", 0, "tick", (), None)
    for _ in range(100):
        handler.handle(record)
    handler.flush()

    assert len({ns for ns, _, _ in values(store)}) == 100


def test_many_records_go_in_few_requests(store, handler, logger):
    for number in range(2500):
        logger.info("line %d", number)
    handler.flush()

    assert [line for _, line, _ in values(store)] == [f"line {n}" for n in range(2500)]
    assert len(store.requests) <= 50


def test_a_batch_is_repeated_until_the_store_takes_it(store, handler, logger):
    store.answers = [
        RequestFailed("busy", status=503),
        RequestFailed("busy", status=429),
    ]
    logger.info("one")
    while handler.counts.sent == 0:
        handler.flush()

    assert len(store.requests) == 3
    assert handler.counts.failed_attempts == 2
    assert handler.counts.refused == 0


def test_what_the_store_calls_wrong_is_left_out(store, handler, logger, capsys):
    store.answers = [RequestFailed("entry too old", status=400)]
    logger.info("one")
    handler.flush()
    logger.info("two")
    handler.flush()

    assert handler.counts.refused == 1
    assert handler.counts.sent == 1
    assert "log records are lost: entry too old" in capsys.readouterr().err


def test_a_full_queue_drops_and_counts_and_does_not_wait(monkeypatch, logger, capsys):
    store = Blocked(monkeypatch)
    bounds = Bounds(queue_entries_max=10, batch_entries_max=1, batch_s=0)
    handler = LokiHandler("http://store.invalid:3100", {"app": "a"}, bounds=bounds)
    logger.addHandler(handler)
    logger.info("in hand")
    assert store.asked.wait(WAIT_S_MAX)

    for _ in range(25):
        logger.info("one")

    assert handler.counts.dropped == 15
    store.go.set()
    handler.close()
    assert handler.counts.sent == 11
    assert capsys.readouterr().err.count("log records are lost") == 1


def test_the_queue_is_bounded_in_bytes_too(monkeypatch, logger, capsys):
    store = Blocked(monkeypatch)
    bounds = Bounds(queue_bytes_max=1000)
    handler = LokiHandler("http://store.invalid:3100", {"app": "a"}, bounds=bounds)
    logger.addHandler(handler)

    for _ in range(3):
        logger.info("x" * 400)

    assert handler.counts.dropped == 1
    store.go.set()
    handler.close()
    assert "they come faster" in capsys.readouterr().err


def test_closing_without_a_store_ends_and_counts(store, handler, logger, capsys):
    store.answers = [RequestFailed("no answer")] * 1000
    logger.info("one")
    logger.info("two")
    handler.close()
    logger.info("late")

    counts = handler.counts
    assert (counts.undelivered, counts.dropped, counts.sent) == (2, 1, 0)
    assert "no answer" in capsys.readouterr().err


def test_half_characters_do_not_stop_a_batch(store, handler, logger):
    logger.info("a\ud800b")
    handler.flush()

    assert [line for _, line, _ in values(store)] == ["a?b"]


def test_a_record_that_cannot_be_formatted_does_not_fail_the_program(
    store, handler, logger, capsys
):
    logger.info("%d", "no number")
    handler.flush()

    assert values(store) == []
    assert "Logging error" in capsys.readouterr().err


def test_a_child_process_sends_its_own_records(store, handler, logger):
    """The thread does not follow a fork; the queue of the parent is not the child's."""
    logger.info("parent")
    handler.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        store.requests.clear()
        logger.info("child")
        handler.flush()
        os.write(writing, repr([line for _, line, _ in values(store)]).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)

    assert os.read(reading, 1000) == b"['child']"
    os.close(reading)


def test_a_stream_needs_a_label():
    with pytest.raises(ValueError, match="one label"):
        LokiHandler("http://store.invalid:3100", {})
