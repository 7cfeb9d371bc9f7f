"""The functions of line_format and label_format, beside Go's own.

Capitalised ones take their subject first, the others last.
"""

import json
from datetime import tzinfo
from functools import reduce

from loki_py.logql.literals import LiteralInvalid, parse_go_duration, parse_size
from loki_py.logql.template.builtins import BUILTINS
from loki_py.logql.template.errors import CallFailed
from loki_py.logql.template.gotime import (
    NS,
    ZERO_NS,
    GoTime,
    TimeInvalid,
    format_time,
    parse_time,
    zone_named,
)
from loki_py.logql.template.numbers import (
    decimal_add,
    decimal_divide,
    decimal_fold,
    decimal_multiply,
    decimal_subtract,
    divided,
    remainder,
    rounded,
    to_float,
    to_int,
    wrapped,
)
from loki_py.logql.template.signatures import Signature
from loki_py.logql.template.texts import (
    aligned_left,
    aligned_right,
    base64_decoded,
    base64_encoded,
    indented,
    lowered,
    regexp_count,
    regexp_replaced,
    repeated,
    replaced,
    substring,
    title,
    truncated,
    uppered,
    url_escaped,
    url_unescaped,
)
from loki_py.logql.template.values import Value, is_true

CONTEXT_FUNCTIONS = frozenset({"__line__", "__timestamp__", "now"})
"""Functions without arguments that the entry answers."""

JSON_DEPTH_MAX = 100
"""Documents that nest deeper are no documents."""

_UNIX_SIZES = {5: 86_400 * NS, 10: NS, 13: 1_000_000, 16: 1_000, 19: 1}
"""Nanoseconds of one unit, by how many digits the number has."""

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
_SPACES += "\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


def _default(fallback: Value, *given: Value) -> Value:
    return given[0] if given and is_true(given[0]) else fallback


def _from_json(text: str) -> Value:
    try:
        value = json.loads(text, parse_int=float, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    return value if _is_shallow(value) else None


def _is_shallow(value: Value) -> bool:
    level = [value]
    for _ in range(JSON_DEPTH_MAX):
        level = [
            item
            for outer in level
            if isinstance(outer, list | dict)
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return True
    return False


def _refused(name: str) -> None:
    raise ValueError(name)


def _bytes(text: str) -> float:
    try:
        return parse_size(text)
    except LiteralInvalid as error:
        raise CallFailed(str(error)) from None


def _seconds(text: str) -> float:
    try:
        return parse_go_duration(text) / NS
    except LiteralInvalid as error:
        raise CallFailed(str(error)) from None


def _date(layout: str, value: Value) -> str:
    if isinstance(value, GoTime):
        return format_time(value, layout)
    if isinstance(value, int):
        return format_time(GoTime(value * NS), layout)
    raise CallFailed("date of a value that is no time")


def _to_date(layout: str, text: str, zone: tzinfo) -> GoTime:
    try:
        return parse_time(layout, text, zone)
    except TimeInvalid:
        return GoTime(ZERO_NS)


def _unix_to_time(text: str) -> GoTime:
    size = _UNIX_SIZES.get(len(text))
    if size is None or not text.isascii() or not text.isdigit():
        raise CallFailed(
            f"unable to parse time '{text}': supported formats are days (5), seconds "
            "(10), milliseconds (13), microseconds (16) and nanoseconds (19)"
        )
    return GoTime(int(text) * size)


def _sum(*values: Value) -> int:
    return wrapped(sum(map(to_int, values)))


def _product(*values: Value) -> int:
    return reduce(lambda left, right: wrapped(left * right), map(to_int, values))


_GO = {
    "ToLower": Signature("s", lowered),
    "ToUpper": Signature("s", uppered),
    "Replace": Signature("sssi", replaced),
    "Trim": Signature("ss", str.strip),
    "TrimLeft": Signature("ss", str.lstrip),
    "TrimRight": Signature("ss", str.rstrip),
    "TrimPrefix": Signature("ss", str.removeprefix),
    "TrimSuffix": Signature("ss", str.removesuffix),
    "TrimSpace": Signature("s", lambda text: text.strip(_SPACES)),
}
_TEXT = {
    "lower": Signature("s", lowered),
    "upper": Signature("s", uppered),
    "title": Signature("s", title),
    "trunc": Signature("is", truncated),
    "substr": Signature("iis", substring),
    "contains": Signature("ss", lambda needle, text: needle in text),
    "hasPrefix": Signature("ss", lambda prefix, text: text.startswith(prefix)),
    "hasSuffix": Signature("ss", lambda suffix, text: text.endswith(suffix)),
    "indent": Signature("is", indented),
    "nindent": Signature("is", lambda spaces, text: "\n" + indented(spaces, text)),
    "replace": Signature("sss", lambda old, new, text: replaced(text, old, new, -1)),
    "repeat": Signature("is", repeated),
    "trim": Signature("s", lambda text: text.strip(_SPACES)),
    "trimAll": Signature("ss", lambda cut, text: text.strip(cut)),
    "trimPrefix": Signature("ss", lambda prefix, text: text.removeprefix(prefix)),
    "trimSuffix": Signature("ss", lambda suffix, text: text.removesuffix(suffix)),
    "alignLeft": Signature("is", aligned_left),
    "alignRight": Signature("is", aligned_right),
    "regexReplaceAll": Signature(
        "sss", lambda re, text, new: regexp_replaced(re, text, new, expands=True)
    ),
    "regexReplaceAllLiteral": Signature(
        "sss", lambda re, text, new: regexp_replaced(re, text, new, expands=False)
    ),
    "count": Signature("ss", regexp_count),
    "urlencode": Signature("s", url_escaped),
    "urldecode": Signature("s", url_unescaped),
    "b64enc": Signature("s", base64_encoded),
    "b64dec": Signature("s", base64_decoded),
    "default": Signature("a*a", _default),
    "fromJson": Signature("s", _from_json),
}
_NUMBERS = {
    "int": Signature("a", to_int),
    "float64": Signature("a", to_float),
    "add": Signature("*a", _sum),
    "sub": Signature("aa", lambda left, right: wrapped(to_int(left) - to_int(right))),
    "mul": Signature("a*a", _product),
    "div": Signature("aa", lambda left, right: divided(to_int(left), to_int(right))),
    "mod": Signature("aa", lambda left, right: remainder(to_int(left), to_int(right))),
    "addf": Signature("*a", lambda *v: decimal_fold([0, *v], decimal_add)),
    "subf": Signature("a*a", lambda *v: decimal_fold([*v], decimal_subtract)),
    "mulf": Signature("a*a", lambda *v: decimal_fold([*v], decimal_multiply)),
    "divf": Signature("a*a", lambda *v: decimal_fold([*v], decimal_divide)),
    "max": Signature("a*a", lambda *values: max(map(to_int, values))),
    "min": Signature("a*a", lambda *values: min(map(to_int, values))),
    "maxf": Signature("a*a", lambda *values: max(map(to_float, values))),
    "minf": Signature("a*a", lambda *values: min(map(to_float, values))),
    "ceil": Signature("a", lambda value: -(-to_float(value) // 1.0)),
    "floor": Signature("a", lambda value: to_float(value) // 1.0),
    "round": Signature("ai*f", lambda value, *rest: rounded(to_float(value), *rest)),
    "bytes": Signature("s", _bytes),
    "duration": Signature("s", _seconds),
    "duration_seconds": Signature("s", _seconds),
}
_TIME = {
    "date": Signature("sa", _date),
    "toDate": Signature(
        "ss", lambda layout, text: _to_date(layout, text, zone_named(""))
    ),
    "toDateInZone": Signature(
        "sss", lambda layout, zone, text: _to_date(layout, text, zone_named(zone))
    ),
    "unixToTime": Signature("s", _unix_to_time),
    "unixEpoch": Signature("t", lambda time: str(time.ns // NS)),
    "unixEpochMillis": Signature("t", lambda time: str(time.ns // 1_000_000)),
    "unixEpochNanos": Signature("t", lambda time: str(time.ns)),
}

FUNCTIONS: dict[str, Signature] = {
    **BUILTINS,
    **_GO,
    **_TEXT,
    **_NUMBERS,
    **_TIME,
    **{name: Signature("", lambda: None) for name in CONTEXT_FUNCTIONS},
}
"""Every function by name; the executor answers CONTEXT_FUNCTIONS itself."""
