"""A disk that does not take the bytes: no acknowledgement, and no lasting harm.

The system refuses to let files of the running server grow (RLIMIT_FSIZE), as a
quota or a broken disk would. A failing fsync is injected in tests/wal.
"""

import resource
import time

from harness import Api, Ledger, Server, Writers, until

SELECT = '{test="writers"}'
FILE_BYTES_MAX = 200_000


def limit_files(pid, size_bytes):
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, hard))


def test_refused_write_is_not_acknowledged_and_the_log_goes_on():
    start_ns = time.time_ns()
    ledger = Ledger()
    with Server() as server:
        server.start()
        writers = Writers(server.port, ledger).start()
        until(lambda: len(ledger.acked) > 1000)

        limit_files(server.pid, FILE_BYTES_MAX)
        until(lambda: sum(ledger.refused.values()) > 20, seconds=60)
        with Api(server.port) as api:
            meanwhile = api.lines(SELECT, start_ns=start_ns, end_ns=now_ns())
        limit_files(server.pid, resource.RLIM_INFINITY)
        acked_before = len(ledger.acked)
        until(lambda: len(ledger.acked) > acked_before + 1000, seconds=60)
        writers.join()
        server.kill()
        server.start()

        with Api(server.port) as api:
            ledger.check(api.lines(SELECT, start_ns=start_ns, end_ns=now_ns()))
    assert meanwhile
    assert set(ledger.refused) <= {500, 503}


def now_ns():
    return time.time_ns() + 1
