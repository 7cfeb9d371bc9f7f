"""Kill -9: whatever was acknowledged is there afterwards, once, byte for byte."""

import random
import socket
import time

import pytest
from harness import Api, Ledger, Server, Writers, until

SELECT = '{test="writers"}'
ROUNDS = 10
ROUNDS_NIGHTLY = 100
ACKED_MIN = 5_000
"""Lines before a flush that is cut short."""

# Small, so that seals, merges and flushes happen between two kills.
BUSY = {
    "ingester.head_size": "256KB",
    "ingester.pack_target_size": "1MB",
    "ingester.flush_check_period": "200ms",
}


def everything(server, start_ns):
    with Api(server.port) as api:
        return api.lines(SELECT, start_ns=start_ns, end_ns=time.time_ns() + 1)


def kill_rounds(settings, rounds, *, seed):
    rng = random.Random(seed)
    start_ns = time.time_ns()
    ledger = Ledger()
    with Server(settings) as server:
        server.start()
        for number in range(rounds):
            writers = Writers(server.port, ledger, seed=f"{seed}/{number}").start()
            time.sleep(rng.uniform(0.02, 1.0))
            server.kill()
            writers.join()

            server.start()

            ledger.check(everything(server, start_ns))
    assert ledger.acked


def test_killed_store_has_every_acknowledged_line_once():
    """Default settings: what is found again comes from the write-ahead log."""
    kill_rounds({}, ROUNDS // 2, seed=1)


def test_killed_store_has_every_line_while_it_seals_and_flushes():
    kill_rounds(BUSY, ROUNDS // 2, seed=2)


@pytest.mark.nightly
@pytest.mark.parametrize("settings", [{}, BUSY], ids=["log", "busy"])
def test_a_hundred_kills_lose_nothing(settings):
    kill_rounds(settings, ROUNDS_NIGHTLY // 2, seed=time.time_ns())


def test_kill_during_flush_loses_and_repeats_nothing():
    """The flush is on its way when the process dies: pack without index, or so."""
    start_ns = time.time_ns()
    rng = random.Random(3)
    ledger = Ledger()
    with Server({"ingester.head_size": "256KB"}) as server:
        server.start()
        for number in range(4):
            acked_before = len(ledger.acked)
            writers = Writers(server.port, ledger, seed=number).start()
            until(lambda before=acked_before: len(ledger.acked) > before + ACKED_MIN)
            writers.join()

            flush_and_kill(server, after_s=rng.uniform(0.0, 0.1))
            server.start()

            ledger.check(everything(server, start_ns))
    assert ledger.acked


def flush_and_kill(server, *, after_s):
    """Send POST /flush, do not wait for the answer, kill a moment later."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /flush HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        )
        time.sleep(after_s)
        server.kill()
