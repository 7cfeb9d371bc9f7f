"""Scripts of LogQL: entries, queries and their answers, as a user would write them.

    # A line filter keeps lines that contain the text.
    load {app="api"}
      10s (id=7) GET /login 500

    query {app="api"} |= "500"
    ----
    {app="api", id="7"} 10s GET /login 500

`query` asks for all lines, oldest first; `at 60s` evaluates at one time;
`from 0s to 60s by 30s` over a range. `(name=value, …)` is structured metadata,
`␛` the escape character. A refused query answers `error: …`.
"""

import re

from naive.rows import Entry

from loki_py.logql.literals import print_float
from loki_py.logql.parser import parse

SECOND_NS = 1_000_000_000
LOADED = re.compile(r"\s+([0-9.]+)s(?: \(([^)]*)\))?(?: (.*))?")
ASKED = re.compile(
    r"(query|at ([0-9]+)s|from ([0-9]+)s to ([0-9]+)s by ([0-9]+)s) (.*)", re.DOTALL
)


def cases_of(text):
    """Yield (entries so far, how, query, expected lines) of each question."""
    entries = []
    for block in re.split(r"\n\n+", text.strip()):
        lines = [line for line in block.split("\n") if not line.startswith("#")]
        if not lines:
            continue
        if lines[0].startswith("load "):
            entries += loaded(lines)
            continue
        question, _, answer = "\n".join(lines).partition("\n----\n")
        asked = ASKED.fullmatch(question)
        assert asked is not None, question
        numbers = [int(one) * SECOND_NS for one in asked.groups()[1:5] if one]
        yield list(entries), numbers, asked[6], answer.split("\n")


def loaded(lines):
    selector = parse(lines[0].removeprefix("load "))
    stream = {matcher.name: matcher.value for matcher in selector.matchers}
    for line in lines[1:]:
        seconds, metadata, text = LOADED.fullmatch(line).groups()
        pairs = (pair.split("=") for pair in (metadata or "").split(", ") if pair)
        text = (text or "").replace("␛", "\x1b")
        yield Entry(stream, int(float(seconds) * SECOND_NS), text, dict(pairs))


def shown(answer):
    """Return an answer's lines."""
    if isinstance(answer, float):
        return [print_float(answer)]
    found = []
    for labels, value in answer.items():
        name = escaped("{" + ", ".join(f'{n}="{v}"' for n, v in labels) + "}")
        if isinstance(value, float):
            found.append(f"{name} {rounded(value)}")
        elif isinstance(value, dict):
            points = (f"{seconds(t)} {rounded(v)}" for t, v in value.items())
            found.append(f"{name} {', '.join(points)}")
        else:
            found += [
                f"{name} {seconds(t)} {escaped(line)}".rstrip() for t, line in value
            ]
    return found or ["(nothing)"]


def rounded(value):
    return print_float(float(f"{value:.9g}"))


def seconds(timestamp_ns):
    return f"{print_float(timestamp_ns / SECOND_NS)}s"


def escaped(line):
    return line.replace("\x1b", "␛").replace("\n", "␤")


def question_of(numbers, query, question):
    """Return the Question of a script's query."""
    expr = parse(query)
    match numbers:
        case []:
            return question(expr, 0, 1000 * SECOND_NS, forward=True)
        case [when]:
            return question(expr, when, when, instant=True)
        case [start, end, step]:
            return question(expr, start, end, step)
