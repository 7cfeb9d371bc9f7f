"""Pushes of every size are taken: long and short, many and few, one after another."""

import time

import pytest
from harness import Api, Server

PUSHES = 80


@pytest.mark.parametrize("count", [1, 100, 5_000, 9_000, 20_000])
def test_many_pushes_of_short_lines_are_all_taken(count):
    now_ns = time.time_ns() - 60 * 10**9
    with Server() as server:
        server.start()
        with Api(server.port) as api:
            for push in range(PUSHES):
                first_ns = now_ns + push * count
                pairs = [(first_ns + k, "x") for k in range(count)]
                assert api.push([({"a": "b"}, pairs)]).status == 204
            total = api.total('sum(count_over_time({a="b"}[1h]))')

    assert total == PUSHES * count
