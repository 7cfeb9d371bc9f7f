"""The client of this package against a store that runs, stops and comes back."""

import asyncio
import logging
import threading
import time

import pytest
from clients.conftest import MESSAGES
from e2e.harness import until

from loki_py.client import Client, Entry, LokiHandler
from loki_py.client.delivery import Bounds

WAIT_S_MAX = 60


@pytest.fixture
def client(server):
    with Client(server.url) as client:
        yield client


def test_every_text_comes_back_as_it_was_pushed(client, app):
    entries = [
        Entry({"app": app}, message, time.time_ns() + number, {"number": str(number)})
        for number, message in enumerate(MESSAGES)
    ]

    client.push(entries)

    found = client.query(f'{{app="{app}"}}', direction="forward")
    assert found.lines == MESSAGES
    pairs = zip(found, entries, strict=True)
    assert all(got.metadata.items() >= sent.metadata.items() for got, sent in pairs)
    assert [entry.timestamp_ns for entry in found] == [e.timestamp_ns for e in entries]


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_pages_lose_and_double_nothing_where_times_are_equal(client, app, direction):
    """Groups of 7 entries share a nanosecond, pages have 10: no edge is clean."""
    now_ns = time.time_ns()
    lines = [f"line {number:04}" for number in range(1000)]
    times = [now_ns + number // 7 for number in range(1000)]
    client.push_lines({"app": app}, lines, timestamps_ns=times)

    found = client.query(
        f'{{app="{app}"}}', limit=None, direction=direction, page_entries=10
    )

    assert sorted(found.lines) == lines
    found_times = [entry.timestamp_ns for entry in found]
    assert found_times == sorted(found_times, reverse=direction == "backward")


def test_pushing_again_stores_nothing_twice(client, app):
    entries = [Entry({"app": app}, line) for line in MESSAGES]

    for _ in range(3):
        client.push(entries)

    assert len(client.query(f'{{app="{app}"}}')) == len(MESSAGES)


def test_a_handler_outlives_an_outage_of_the_store(fresh_server):
    """What is logged while the store is away is delivered when it is back."""
    handler = LokiHandler(
        fresh_server.url, {"app": "shop"}, bounds=Bounds(batch_s=0.05)
    )
    logger = logging.Logger("shop")  # noqa: LOG001  # no other test sees it
    logger.addHandler(handler)
    lines = [f"line {number}" for number in range(900)]

    for line in lines[:300]:
        logger.info(line)
    handler.flush()
    fresh_server.stop()
    for line in lines[300:600]:
        logger.info(line)
    until(lambda: handler.counts.failed_attempts > 0)
    fresh_server.start()
    for line in lines[600:]:
        logger.info(line)
    until(lambda: handler.counts.sent == len(lines), seconds=WAIT_S_MAX)
    handler.close()

    with Client(fresh_server.url) as client:
        assert client.query('{app="shop"}', direction="forward").lines == lines
    assert handler.counts.dropped == 0


def test_logging_does_not_wait_for_a_store_that_is_away(capsys):
    """A thousand records with nobody there cost less than one connection's timeout."""
    handler = LokiHandler("http://127.0.0.1:1", {"app": "shop"})
    logger = logging.Logger("shop")  # noqa: LOG001  # no other test sees it
    logger.addHandler(handler)

    began_s = time.monotonic()
    for number in range(1000):
        logger.info("line %d", number)
    logged_s = time.monotonic() - began_s
    handler.close()

    assert logged_s < 1
    assert handler.counts.undelivered == 1000
    assert "no answer from http://127.0.0.1:1" in capsys.readouterr().err


async def test_a_tail_follows_what_is_pushed(client, app):
    """First what is there, then what comes, in order, with labels and metadata."""
    client.push([Entry({"app": app}, "before", metadata={"trace": "t1"})])
    found = []

    async with asyncio.timeout(WAIT_S_MAX), client.tail(f'{{app="{app}"}}') as tail:
        async for entry in tail:
            found.append(entry)
            if len(found) == 51:
                break
            if len(found) == 1:
                lines = [f"line {number}" for number in range(50)]
                await asyncio.to_thread(client.push_lines, {"app": app}, lines)

    assert [entry.line for entry in found] == [
        "before",
        *(f"line {number}" for number in range(50)),
    ]
    assert found[0].metadata["trace"] == "t1"
    assert found[0].labels["app"] == app
    assert "trace" not in found[0].labels


async def test_a_tail_goes_on_after_the_store_was_killed(fresh_server):
    """Nothing is missing and nothing comes twice, whatever happens in between."""
    lines = [f"line {number}" for number in range(400)]

    def write_and_restart(client):
        for number, line in enumerate(lines):
            if number == 200:
                fresh_server.kill()
                fresh_server.start()
            client.push([Entry({"app": "shop"}, line)])

    with Client(fresh_server.url, retries_max=20) as client:
        writer = threading.Thread(target=write_and_restart, args=(client,))
        found = []
        async with asyncio.timeout(WAIT_S_MAX), client.tail('{app="shop"}') as tail:
            writer.start()
            async for entry in tail:
                found.append(entry.line)
                if found[-1] == lines[-1]:
                    break
        writer.join()

    assert found == lines
