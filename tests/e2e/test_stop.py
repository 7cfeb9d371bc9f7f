"""A graceful stop: nothing is lost, and the next start has nothing to repair."""

import time

from harness import Api, Ledger, Server, Writers, until

SELECT = '{test="writers"}'
ACKED_MIN = 1_000
"""Lines after which the store is told to stop."""


def test_stop_under_load_loses_nothing():
    start_ns = time.time_ns()
    with Server() as server:
        server.start()
        ledger = Ledger()
        writers = Writers(server.port, ledger).start()
        until(lambda: len(ledger.acked) > ACKED_MIN)

        code = server.stop()
        writers.join()
        server.start()

        assert code == 0
        with Api(server.port) as api:
            found = api.lines(SELECT, start_ns=start_ns, end_ns=time.time_ns() + 1)
        ledger.check(found)


def test_start_after_a_stop_replays_nothing():
    with Server() as server:
        server.start()
        with Api(server.port) as api:
            assert api.push([({"a": "b"}, [(time.time_ns(), "x")])]).status == 204
        server.stop()

        server.start()

        with Api(server.port) as api:
            assert api.total('sum(count_over_time({a="b"}[1h]))') == 1
            assert api.metric("loki_ingester_wal_recovered_entries_total") == 0


def test_stop_of_an_idle_server_is_quick():
    with Server() as server:
        server.start()
        begin = time.monotonic()

        code = server.stop()

        assert code == 0
        assert time.monotonic() - begin < 5
