"""What queries have to do with each other, whatever their lines hold.

The lines are of all kinds, many of them damaged, so that no evaluator but the
engine itself says what they mean: read together they mean what each means
alone, and a filter finds what is there without it.
"""

import json
from itertools import pairwise

import pytest
from fakes.entry_batches import batch_of
from fakes.logql_engine import engine_answer
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from naive.cases import chance, some
from naive.compare import alike
from naive.evaluate import Question
from naive.stages import label_passes

from loki_py.errors import RequestRejected
from loki_py.logql.parser import parse

CASES = 25
CASES_NIGHTLY = 2_000
SECOND_NS = 1_000_000_000
STREAMS = [
    {"app": "a"},
    {"app": "b", "level": "stream"},
    {"app": "c", "id": "1", "text_extracted": "stream"},
]
KEYS = ["n", "text", "level", "id", "app", "text_extracted", "my-key", "9x", "é", "N"]
NAMES = ["n", "text", "level", "id", "app", "text_extracted", "my_key", "_9x", "n_text"]
TEXTS = [
    "1", "2.5", "NaN", "1e400", "error", "a b", 'q"uote', "back\\slash", "two\nlines",
    "é☃", "", "a=b", "{}", "null", "stream", "a text longer than a view holds", "5KB",
]  # fmt: skip
RAW = ["1", "-0.5", "true", "null", "[]", '[1,{"n":2}]', '{"text":"in"}', "{}", "12e3"]
PARSERS = [
    "json", "json", "logfmt", "logfmt", "logfmt --keep-empty", "logfmt --strict",
    "unpack", 'json text, n="n", x="id.text"', 'logfmt text, n="n", x="id"',
    'pattern "<n>=<text> <_>"', 'regexp "(?P<n>[0-9]+)(?P<text>\\\\w*)"',
]  # fmt: skip
LINES = "{{app=~`.+`}} | {parser} {filters}"
METRICS = [
    f"sum by ({{names}}) (count_over_time({LINES} [1m]))",
    f"bytes_over_time({LINES} | __error__=`` [1m])",
    f"max_over_time({LINES} | unwrap n | __error__=`` [1m]) by ({{names}})",
]


def json_line(rng):
    members = []
    for _ in range(rng.randrange(6)):
        text = json.dumps(some(rng, TEXTS), ensure_ascii=chance(rng, 20))
        value = text if chance(rng, 75) else some(rng, RAW)
        members.append(f"{json.dumps(some(rng, KEYS), ensure_ascii=False)}:{value}")
    if chance(rng, 10):
        members.append(f'"_entry":"{logfmt_line(rng)[:20]}"'.replace("\\", ""))
    return "{" + ",".join(members) + "}"


def logfmt_line(rng):
    pairs = []
    for _ in range(rng.randrange(6)):
        text = some(rng, TEXTS)
        quoted = any(char in text for char in ' "=\n') or chance(rng, 30)
        value = json.dumps(text, ensure_ascii=False) if quoted else text
        pairs.append(f"{some(rng, KEYS)}={value}")
    return some(rng, [" ", "  ", "\t"]).join(pairs)


def line_of(rng):
    line = json_line(rng) if chance(rng, 50) else logfmt_line(rng)
    while chance(rng, 30):
        at = rng.randrange(len(line) + 1)
        line = line[:at] + some(rng, ["", '"', "{", "\\", "=", " x"]) + line[at + 1 :]
    return line


def rows_of(rng):
    rows = []
    for i in range(rng.randrange(1, 12)):
        names = [name for name in ("id", "level", "text") if chance(rng, 15)]
        metadata = {name: some(rng, TEXTS) or "x" for name in names}
        stream = some(rng, STREAMS)
        rows.append((stream, i * SECOND_NS, line_of(rng), metadata))
    return rows


def text_filter(rng):
    name = some(rng, NAMES)
    if chance(rng, 70):
        return f"{name}{some(rng, ['=', '!='])}{json.dumps(some(rng, TEXTS))}"
    return f"{name}{some(rng, ['=~', '!~'])}{some(rng, ['`.+`', '`[0-9]+`', '`é.*|`'])}"


def asked(query, rows, cuts, **more):
    """Return the answer to a query of the rows in batches, or that there is none."""
    question = Question(parse(query), 0, 60 * SECOND_NS, limit=1000, **more)
    try:
        return engine_answer(question, [batch_of(rows[a:b]) for a, b in pairwise(cuts)])
    except RequestRejected:
        return "refused"


class Labels(dict):
    """Labels of an answer as filters see them."""

    def get(self, name):
        return None if name == "__error_details__" else super().get(name)


def check_lines_apart(rng):
    """Lines mean the same alone as among others."""
    rows = rows_of(rng)
    parser, filters = some(rng, PARSERS), f"| {text_filter(rng)}"
    names = ", ".join({some(rng, NAMES), some(rng, NAMES)})
    form = some(rng, [LINES, *METRICS])
    query = form.format(parser=parser, filters=filters, names=names)
    note(query)
    ways = {} if form not in METRICS else {"instant": True}

    together = asked(query, rows, [0, len(rows)], **ways)
    apart = asked(query, rows, range(len(rows) + 1), **ways)

    assert alike(together, apart), f"{query}\n{rows}\n{together}\n{apart}"


def check_filter_finds_what_is_there(rng):
    """A filter behind a parser keeps the lines that have the label without it."""
    rows = rows_of(rng)
    query = f"{{app=~`.+`}} | {some(rng, PARSERS)}"
    filtered = f"{query} | {text_filter(rng)}"
    note(filtered)
    test = parse(filtered).stages[-1].filter
    whole = [0, len(rows)]

    everything = asked(query, rows, whole)
    expected = {k: v for k, v in everything.items() if label_passes(Labels(k), test)}

    found = asked(filtered, rows, whole)
    assert found == expected, f"{filtered}\n{rows}\n{found}\n{expected}"


CHECKS = [check_lines_apart, check_filter_finds_what_is_there]


def run_check(check, count):
    random_sources = st.randoms(use_true_random=True)
    limits = settings(
        max_examples=count, deadline=None, suppress_health_check=list(HealthCheck)
    )
    limits(given(random_sources)(check))()


@pytest.mark.parametrize("check", CHECKS)
def test_relation_between_queries_holds(check):
    """Some dozen random queries of each kind."""
    run_check(check, CASES)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("check", CHECKS)
def test_relation_between_queries_holds_all_night(check):
    """Thousands of them."""
    run_check(check, CASES_NIGHTLY)
