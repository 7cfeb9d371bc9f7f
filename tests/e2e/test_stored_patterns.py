"""Patterns: counted while lines come in, there after a flush, a stop and a kill."""

import time

from harness import Api, Server, until

NS_PER_S = 1_000_000_000
SETTINGS = {"pattern_ingester.enabled": "true"}


def patterns(server, start_ns):
    """Return the lines of each pattern."""
    with Api(server.port) as api:
        answer = api.get(
            "/loki/api/v1/patterns",
            query='{app="shop"}',
            start=start_ns,
            end=time.time_ns() + NS_PER_S,
        )
    return {
        each["pattern"]: sum(count for _, count in each["samples"])
        for each in answer.data()
    }


def push(server, numbers):
    lines = [(time.time_ns(), f"order {n} took {n * 7} ms") for n in numbers]
    with Api(server.port) as api:
        assert api.push([({"app": "shop"}, lines)]).status == 204


def test_patterns_outlive_flush_stop_and_kill():
    """Each line counts once, wherever its count lies."""
    start_ns = time.time_ns() - 60 * NS_PER_S
    with Server(SETTINGS) as server:
        server.start()
        push(server, range(100, 120))
        wanted = {"order <_> took <_> ms": 20}
        until(lambda: patterns(server, start_ns) == wanted)
        with Api(server.port) as api:
            api.flush()
        assert patterns(server, start_ns) == wanted
        push(server, range(200, 210))
        wanted = {"order <_> took <_> ms": 30}
        until(lambda: patterns(server, start_ns) == wanted)

        server.restart()
        assert patterns(server, start_ns) == wanted
        server.kill()
        server.start()
        assert patterns(server, start_ns) == wanted
        assert [path.name for path in server.data.glob("chunks/*/patterns/*")]
