"""Drain: which lines share a pattern, and what a pattern looks like."""

import pytest

from loki_py.patterns.drain import CLUSTERS_MAX, Drain
from loki_py.patterns.tokens import text_of, tokens_of


def patterns_of(*lines):
    """Return the patterns of lines, in the order seen last."""
    tree = Drain()
    for line in lines:
        tokens = tokens_of(line)
        if tokens is not None:
            tree.add(tokens)
    return [text_of(cluster.texts, cluster.after) for cluster in tree]


@pytest.mark.parametrize(
    ("lines", "pattern"),
    [
        (
            ["took 15ms to flush 3 chunks", "took 7ms to flush 12 chunks"],
            "took <_> to flush <_> chunks",
        ),
        (
            ['level=info ts=1 msg="a b" n=1', 'level=info ts=2 msg="a b" n=2'],
            'level=info ts=<_> msg="a b" n=<_>',
        ),
        (
            [
                '{"msg":"got 5 items from db","n":1}',
                '{"n":2,"msg":"got 7 items from db"}',
            ],
            "got <_> items from db",
        ),
        (
            ["GET /a/1 200 (ok)", "GET /a/2 500 (ok)"],
            "GET <_> (ok)",
        ),
    ],
)
def test_lines_that_differ_in_numbers_share_a_pattern(lines, pattern):
    assert patterns_of(*lines) == [pattern]


def test_unlike_lines_have_their_own_patterns():
    first, second = "user logged in from home", "disk sda is nearly full"

    assert patterns_of(first, second, first) == [second, first]


@pytest.mark.parametrize(
    "line",
    ["", "too few words", "a " * 81, "x y z w " * 400, '{"n":1}', "{broken a b c"],
)
def test_lines_too_short_too_long_or_broken_have_no_pattern(line):
    assert tokens_of(line) is None


def test_tree_forgets_the_cluster_longest_unseen():
    words = ["".join(chr(97 + int(d)) for d in str(n)) for n in range(CLUSTERS_MAX + 5)]
    tree = Drain()

    for word in words:
        tree.add(tokens_of(f"{word} {word}x {word}y {word}z"))

    assert len(tree) <= CLUSTERS_MAX
