"""Random entries and the queries that one would ask of them.

Everything is drawn from a `random.Random`; hypothesis gives one that it knows
how to make smaller. Queries are text, mostly valid, sometimes refused. Numbers
are few and small, so that sums are exact and comparisons never hang on the
last bit; where the language leaves an answer open (samples of one time, ties
of a `topk`), no question is asked.
"""

import json
from dataclasses import dataclass

from naive.rows import Entry

SECOND_NS = 1_000_000_000
STREAMS = [
    {"app": "api", "env": "prod"},
    {"app": "api", "env": "dev"},
    {"app": "web", "env": "prod", "level": "stream"},
    {"app": "db"},
]
LEVELS = ["info", "warn", "error", "Error", ""]
WORDS = ["ok", "failed", "a b", "é", 'q"uote', "GET /x"]
DURATIONS = ["250ms", "1s", "2m", "1h1m", "1.5s", "0s"]
SIZES = ["5KB", "1MiB", "12B", "0.5kB", "7"]
ADDRESSES = ["10.0.0.7", "10.1.2.3", "192.168.1.9"]
NAMES = ["level", "status", "latency", "took", "size", "addr", "msg", "id", "app"]
NUMBERS = ["status", "latency", "id"]
SELECTORS = [
    *['{app=~".+"}'] * 8, '{app="api"}', '{env="prod"}', '{app=~"a.*|web"}',
    '{app="api",env!="dev"}', '{app!~"w.b", app!=""}', '{app=~"(?i)API"}',
    '{level="stream"}', '{app="nothing"}',
]  # fmt: skip


def some(rng, choices):
    return choices[rng.randrange(len(choices))]


def chance(rng, percent):
    return rng.randrange(100) < percent


# --------------------------------------------------------------------- entries


def fields(rng):
    """Return an entry's fields in random order, some of them missing."""
    found = {
        "level": some(rng, LEVELS),
        "status": some(rng, [200, 404, 500, 503]),
        "latency": some(rng, ["0.25", "1.5", "2", "10", "x", "1e2"]),
        "took": some(rng, [*DURATIONS, "soon"]),
        "size": some(rng, [*SIZES, "big"]),
        "addr": some(rng, [*ADDRESSES, "nowhere"]),
        "msg": some(rng, WORDS),
        "id": rng.randrange(4),
        "app": "shadow",
    }
    names = [name for name in found if chance(rng, 70)]
    rng.shuffle(names)
    return {name: found[name] for name in names}


def json_line(rng, found):
    nested = {"a-b": found.pop("level", "x"), "n": [1, {"k": "v"}], "no": None}
    if chance(rng, 40):
        found["req"] = nested
    if chance(rng, 20):
        found["ok"] = chance(rng, 50)
    return json.dumps(
        found, ensure_ascii=False, separators=some(rng, [(",", ":"), (", ", ": ")])
    )


def logfmt_line(rng, found):
    pairs = []
    for name, value in found.items():
        text = str(value)
        quoted = " " in text or '"' in text or chance(rng, 20)
        pairs.append(
            f"{name}={json.dumps(text, ensure_ascii=False) if quoted else text}"
        )
    if chance(rng, 20):
        pairs.insert(rng.randrange(len(pairs) + 1), "flag")
    return " ".join(pairs)


def broken(rng, line):
    """Return a line that a parser stumbles over."""
    return some(
        rng,
        ["plain text", line[: len(line) // 2], '="x" ' + line, line + ' a="open', ""],
    )


ESCAPES = ["\x1b[31m", "\x1b[1;4", "\x1b]0;a title\x07", "\x1b(B", "\x9b2J", "\x1b"]


def line_of(rng, *, dirty, kinds):
    found = fields(rng)
    kind = kinds[rng.randrange(len(kinds))]
    if kind < 4:
        line = json_line(rng, found)
    elif kind < 8:
        line = logfmt_line(rng, found)
    elif kind < 9:
        inner = logfmt_line(rng, found)
        line = json.dumps({"_entry": inner, "packed": some(rng, WORDS), "n": 1})
    else:
        values = [str(found.get(name, "-")) for name in ("addr", "status", "took")]
        line = '{} - "GET /{}" took {}'.format(*values[:2], values[2])
    if dirty and chance(rng, 25):
        line = broken(rng, line)
    if chance(rng, 10):
        line = (
            f"{some(rng, ESCAPES)}{line}\x1b[0m" if dirty else line.replace("ok", "OK")
        )
    return line


@dataclass(frozen=True)
class Setting:
    """What entries and their queries have in common.

    Attributes:
        parser: of most lines; None where they are of all kinds.
        ties: whether entries may have equal times.
        dirty: whether some lines are broken.
    """

    parser: str | None
    ties: bool
    dirty: bool


def setting_of(rng, *, dirty):
    parser = some(rng, ["json", "logfmt", "logfmt", None])
    return Setting(parser, ties=chance(rng, 50), dirty=chance(rng, dirty))


KINDS = {"json": [0], "logfmt": [4], None: range(10)}


def entries_of(rng, setting):
    """Return entries in order of time, which is the order of arrival."""
    kinds, dirty, ties = KINDS[setting.parser], setting.dirty, setting.ties
    count = rng.randrange(1, 25)
    times = [rng.randrange(0, 120) for _ in range(count)]
    if not ties:
        times = [1000 * time + i for i, time in enumerate(times)]
        times = [time * 10**6 for time in times]
    else:
        times = [time * SECOND_NS for time in times]
    found = []
    for time in sorted(times):
        metadata = {}
        if chance(rng, 30):
            metadata["id"] = str(rng.randrange(3))
        if chance(rng, 15):
            metadata["app"] = "meta"
        stream = some(rng, STREAMS)
        found.append(
            Entry(stream, time, line_of(rng, dirty=dirty, kinds=kinds), metadata)
        )
    return found


# ------------------------------------------------------------------- pipelines


def text(value):
    return json.dumps(value, ensure_ascii=False)


def line_filter(rng):
    kind = rng.randrange(6)
    if kind == 0:
        op, terms = some(rng, ["|=", "!="]), [f'ip("{some(rng, IPS)}")']
    elif kind == 1:
        op, terms = some(rng, ["|>", "!>"]), [text(some(rng, LINE_PATTERNS))]
    elif kind <= 3:
        op, terms = some(rng, ["|~", "!~"]), [text(some(rng, REGEXPS))]
    else:
        op = some(rng, ["|=", "|=", "|=", "!="])
        terms = [text(some(rng, NEEDLES)) for _ in range(rng.randrange(1, 4))]
    return f"{op} {' or '.join(terms)}"


IPS = ["10.0.0.0/8", "10.0.0.7", "10.0.0.1-10.0.0.9", "192.168.0.0/16"]
NEEDLES = ["status", "a", "e", "error", "", "é", '"', "=", "zzz", "level", "\\"]
REGEXPS = ["(?i)ERROR", "[45]\\d\\d", "^.le", "status.+5", "$", "é", "[a-z]+", "a|b"]
LINE_PATTERNS = [
    "<_>500<_>",
    "{<_>}",
    "level=<_>",
    "<_>",
    "",
    "<_> - <_>",
    "plain text",
]


def label_filter(rng, depth=0):
    if depth < 2 and chance(rng, 25):
        left, right = label_filter(rng, depth + 1), label_filter(rng, depth + 1)
        return f"({left}{some(rng, [' and ', ' or ', ', ', ' '])}{right})"
    compare = some(rng, [">", ">=", "<", "<=", "==", "!="])
    match rng.randrange(9):
        case 0 | 1 | 2:
            op = some(rng, ["=", "!=", "!="])
            return f"{some(rng, NAMES)}{op}{text(some(rng, VALUES))}"
        case 3:
            op = some(rng, ["=~", "!~"])
            return f"{some(rng, NAMES)}{op}{text(some(rng, VALUE_RES))}"
        case 4 | 5:
            return (
                f"{some(rng, NUMBERS)}{compare}{some(rng, ['2', '404', '0.5', '500'])}"
            )
        case 6:
            return f"took{compare}{some(rng, ['1s', '500ms', '1h'])}"
        case 7:
            return f"size{compare}{some(rng, ['5KB', '1KiB', '100B'])}"
        case _:
            return f'addr{some(rng, ["=", "!="])}ip("{some(rng, IPS)}")'


VALUES = ["info", "error", "", "500", "api", "1", "a b", "shadow"]
VALUE_RES = ["(?i)error", "err.*|warn|", ".*", ".+", "[45]..", "[0-9]*", "[a-z]*"]
PARSERS = [
    "json", "json", "logfmt", "logfmt", "logfmt --strict", "logfmt --keep-empty",
    'json level, st="status", k="req.n[1].k"', 'json all="req", n="req.n"',
    'logfmt level, s="status"', 'logfmt --strict m="msg"',
    'regexp "(?P<level>[a-z]+)=(?P<word>\\\\w*)"',
    'regexp "status.{1,2}(?P<status>\\\\d+)"',
    'pattern "<addr> - <_> took <took>"', 'pattern "{<body>}"', "unpack",
]  # fmt: skip
TEMPLATES = [
    "{{.level}} {{.msg}}", "{{.status}}", "{{__line__ | len}}", "{{.id}}-{{.nope}}",
    "{{ToUpper .level}}", "{{if eq .level `error`}}E{{else}}-{{end}}",
    "{{.app | trunc 2}}",
    "{{div 6 .id}}", "{{add .id 1}}", "x", "{{.latency | float64 | mulf 2}}",
]  # fmt: skip


def named(rng):
    name = some(rng, NAMES)
    return (
        name
        if chance(rng, 60)
        else f"{name}{some(rng, ['=', '=~', '!='])}{text(some(rng, VALUES))}"
    )


def label_format(rng):
    parts = {}
    for _ in range(rng.randrange(1, 3)):
        target = some(rng, ["level", "new", "status", "app", "lvl"])
        parts[target] = (
            some(rng, NAMES) if chance(rng, 40) else text(some(rng, TEMPLATES))
        )
    return "label_format " + ", ".join(f"{k}={v}" for k, v in parts.items())


def stage(rng):
    match rng.randrange(12):
        case 0 | 1:
            return line_filter(rng)
        case 2 | 3 | 4 | 5:
            return "| " + label_filter(rng)
        case 6:
            return "| " + some(rng, PARSERS)
        case 7:
            return "| line_format " + text(some(rng, TEMPLATES))
        case 8:
            return "| " + label_format(rng)
        case 9:
            return "| drop " + ", ".join(named(rng) for _ in range(rng.randrange(1, 3)))
        case 10:
            return "| keep " + ", ".join(named(rng) for _ in range(rng.randrange(1, 4)))
        case _:
            return "| decolorize"


def pipeline(rng, *, stages_max=4, parser=None):
    parts = []
    if chance(rng, 15):
        parts.append(line_filter(rng))
    if parser is not None or chance(rng, 75):
        parts.append("| " + (parser or some(rng, PARSERS)))
    parts += [stage(rng) for _ in range(rng.randrange(stages_max))]
    return " ".join(parts)


def log_query(rng):
    return f"{some(rng, SELECTORS)} {pipeline(rng)}"


# --------------------------------------------------------------------- metrics


def window(rng):
    offset = some(rng, ["", "", "", " offset 10s", " offset -5s"])
    return f"[{some(rng, ['5s', '10s', '30s', '1m', '2m'])}]{offset}"


def grouping(rng):
    names = some(rng, ["app", "env", "app, env", "level", "level, app", "id", ""])
    return f"{some(rng, ['by', 'by', 'without'])} ({names})"


PLAIN = ["count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time"]
UNWRAPPED = ["sum_over_time", "min_over_time", "max_over_time", "avg_over_time", "rate"]
ORDERED = ["first_over_time", "last_over_time", "rate_counter"]
SPREADS = ["stddev_over_time", "stdvar_over_time", "quantile_over_time"]
UNGROUPED = {"sum_over_time", "rate", "rate_counter", "absent_over_time"}


def range_query(rng, setting, *, exact):
    """Return a range aggregation, its errors mostly filtered out.

    Args:
        exact: whether its values may be compared, so must not be rounded twice.
    """
    clean = '| __error__=""' if chance(rng, 85) else ""
    plain = chance(rng, 40)
    parser = setting.parser if not plain or chance(rng, 50) else None
    stages = pipeline(rng, stages_max=some(rng, [1, 1, 3]), parser=parser)
    head = f"{some(rng, SELECTORS)} {stages} {clean}"
    if plain:
        return f"{some(rng, PLAIN)}({head} {window(rng)})"
    functions = (
        UNWRAPPED + ([] if setting.ties else ORDERED) + ([] if exact else SPREADS)
    )
    function = some(rng, functions)
    unwrap = some(rng, ["status", "latency", "id", "bytes(size)", "duration(took)"])
    # All labels together make nearly every entry a series of its own.
    few = "| keep app, status, latency, id, size, took" if chance(rng, 30) else ""
    few = "| keep app, " + unwrap.strip(")").split("(")[-1] if chance(rng, 60) else few
    group = f" {grouping(rng)}" if function not in UNGROUPED and chance(rng, 40) else ""
    quantile = ""
    if function == "quantile_over_time":
        quantile = some(rng, ["0.5, ", "0.99, ", "0, ", "1, ", "1.5, "])
    samples = f"{head} {few} | unwrap {unwrap} {clean} {window(rng)}"
    return f"{function}({quantile}{samples}){group}"


VECTORS = ["sum", "sum", "avg", "count", "min", "max"]


def metric_query(rng, setting, *, exact=False, depth=0):
    if depth >= 3 or chance(rng, 30):
        return range_query(rng, setting, exact=exact)

    def inner(*, exact=exact):
        return metric_query(rng, setting, exact=exact, depth=depth + 1)

    match rng.randrange(10):
        case 0 | 1 | 2 | 3:
            names = VECTORS if exact else [*VECTORS, "stddev", "stdvar"]
            group = grouping(rng) if chance(rng, 80) else ""
            return f"{some(rng, names)} {group} ({inner()})"
        case 4:
            group = grouping(rng) if chance(rng, 40) else ""
            name = some(rng, ["topk", "bottomk"])
            return f"{name} {group} ({rng.randrange(1, 4)}, {inner(exact=True)})"
        case 5:
            number = some(rng, ["0", "1", "2", "0.5", "-1"])
            op = some(rng, ["+", "-", "*", "/", "%"])
            pair = [f"({inner()})", number]
            rng.shuffle(pair)
            return f"{pair[0]} {op} {pair[1]}"
        case 6:
            op = some(rng, [">", ">=", "<", "==", "!=", "> bool", "== bool"])
            return f"({inner(exact=True)}) {op} {some(rng, ['0', '1', '2', '200'])}"
        case 7 | 8:
            return binary_query(rng, inner)
        case _:
            return f'label_replace({inner()}, "copy", "<$1>", "app", "(.)(.*)")'


def binary_query(rng, inner):
    op = some(rng, ["+", "-", "*", "/", ">", "<= bool", "and", "or", "unless"])
    exact = op[0] in "><"
    left, right = inner(exact=True) if exact else inner(), inner(exact=True)
    if chance(rng, 15) and not op[0].isalpha():
        one = f'sum by (app, env) (count_over_time({{env="prod"}} {window(rng)}))'
        if chance(rng, 50):
            return f"({left}) {op} on (app) group_left (env) ({one})"
        return f"({one}) {op} on (app) group_right (env) ({left})"
    if chance(rng, 10):
        right = some(rng, ["vector(1)", "vector(0)"])
    matching = ""
    if chance(rng, 60):
        names = some(rng, ["app", "app", "app, env", "level", ""])
        matching = f" {some(rng, ['on', 'on', 'ignoring'])} ({names})"
        if op not in {"and", "or", "unless"} and chance(rng, 50):
            include = some(rng, ["", " (env)", " (env, level)"])
            matching += f" {some(rng, ['group_left', 'group_right'])}{include}"
        left = (
            f"sum by ({some(rng, ['app', 'app', 'app, env', 'app, level'])}) ({left})"
        )
        right = f"sum by ({some(rng, ['app', 'app', 'app, env', 'level'])}) ({right})"
    return f"({left}) {op}{matching} ({right})"
