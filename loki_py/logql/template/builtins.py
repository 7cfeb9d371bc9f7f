"""The functions that every Go template has."""

from loki_py.logql.template.errors import CallFailed
from loki_py.logql.template.printf import sprintf
from loki_py.logql.template.signatures import Signature
from loki_py.logql.template.texts import text_slice, url_escaped
from loki_py.logql.template.values import (
    Value,
    is_equal,
    is_less,
    is_true,
    joined,
    shown,
    type_name,
)

_HTML = str.maketrans(
    {
        '"': "&#34;",
        "'": "&#39;",
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "\0": "\ufffd",
    }
)
_JS = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}


def _equal(first: Value, *others: Value) -> bool:
    if not others:
        raise CallFailed("missing argument for comparison")
    return any(is_equal(first, other) for other in others)


def _length(value: Value) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list | dict):
        return len(value)
    if value is None:
        raise CallFailed("len of nil pointer")
    raise CallFailed(f"len of type {type_name(value)}")


def _index(value: Value, *keys: Value) -> Value:
    for key in keys:
        value = _element(value, key)
    return value


def _element(value: Value, key: Value) -> Value:
    if value is None:
        raise CallFailed("index of untyped nil")
    if isinstance(value, dict):
        if not isinstance(key, str):
            raise CallFailed(f"value has type {type_name(key)}; should be string")
        return value.get(key)
    if not isinstance(value, str | list):
        raise CallFailed(f"can't index item of type {type_name(value)}")
    if key is None:
        raise CallFailed("cannot index slice/array with nil")
    if not isinstance(key, int) or isinstance(key, bool):
        raise CallFailed(f"cannot index slice/array with type {type_name(key)}")
    items = value.encode() if isinstance(value, str) else value
    if not 0 <= key < len(items):
        raise CallFailed(f"index out of range: {key}")
    return items[key]


def _slice(value: Value, *bounds: Value) -> Value:
    if value is None:
        raise CallFailed("slice of untyped nil")
    if len(bounds) > 3:
        raise CallFailed(f"too many slice indexes: {len(bounds)}")
    if not isinstance(value, str | list):
        raise CallFailed(f"can't slice item of type {type_name(value)}")
    if isinstance(value, str) and len(bounds) == 3:
        raise CallFailed("cannot 3-index slice a string")
    size = len(value.encode()) if isinstance(value, str) else len(value)
    places = [0, size]
    for position, bound in enumerate(bounds[:2]):
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise CallFailed(f"cannot index slice/array with type {type_name(bound)}")
        if not 0 <= bound <= size:
            raise CallFailed(f"index out of range: {bound}")
        places[position] = bound
    start, end = places
    if start > end:
        raise CallFailed(f"invalid slice index: {start} > {end}")
    return text_slice(value, start, end) if isinstance(value, str) else value[start:end]


def _print_line(*values: Value) -> str:
    return " ".join(map(shown, values)) + "\n"


def _script(*values: Value) -> str:
    return "".join(
        _JS.get(char) or (char if char.isprintable() else f"\\u{ord(char):04X}")
        for char in joined(values)
    )


def _call(function: Value, *_: Value) -> Value:
    if function is None:
        raise CallFailed("call of nil")
    raise CallFailed(f"non-function {shown(function)} of type {type_name(function)}")


BUILTINS: dict[str, Signature] = {
    # `and` and `or` stop at the argument that decides; the executor sees to it.
    "and": Signature("a*a", lambda *values: values[-1]),
    "or": Signature("a*a", lambda *values: values[-1]),
    "not": Signature("a", lambda value: not is_true(value)),
    "eq": Signature("a*a", _equal),
    "ne": Signature("aa", lambda left, right: not is_equal(left, right)),
    "lt": Signature("aa", is_less),
    "le": Signature("aa", lambda left, right: is_less(left, right) or left == right),
    "gt": Signature(
        "aa", lambda left, right: not is_less(left, right) and left != right
    ),
    "ge": Signature("aa", lambda left, right: not is_less(left, right)),
    "len": Signature("a", _length),
    "index": Signature("a*a", _index),
    "slice": Signature("a*a", _slice),
    "print": Signature("*a", lambda *values: joined(values)),
    "println": Signature("*a", _print_line),
    "printf": Signature("s*a", lambda layout, *values: sprintf(layout, list(values))),
    "html": Signature("*a", lambda *values: joined(values).translate(_HTML)),
    "js": Signature("*a", _script),
    "urlquery": Signature("*a", lambda *values: url_escaped(joined(values))),
    "call": Signature("a*a", _call),
}
