"""Values inside a template: how Go types, tests, prints and compares them.

A value is a str, int, float, bool, None (nil), GoTime, or what JSON holds:
lists and dicts of values.
"""

from collections.abc import Iterable
from typing import Any, TypeAlias

from loki_py.logql.literals import print_float
from loki_py.logql.template.errors import CallFailed
from loki_py.logql.template.gotime import GoTime

Value: TypeAlias = Any

_TYPE_NAMES = {
    str: "string",
    bool: "bool",
    int: "int",
    float: "float64",
    GoTime: "time.Time",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}
_BASIC = (str, bool, int, float)


def type_name(value: Value) -> str:
    """Return Go's name of the value's type."""
    return _TYPE_NAMES.get(type(value), "<nil>")


def is_true(value: Value) -> bool:
    """Return whether `if` takes the value for true: not zero, not empty."""
    return isinstance(value, GoTime) or bool(value)


def shown(value: Value) -> str:
    """Return the value as Go's %v prints it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return print_float(value)
        case list():
            return f"[{' '.join(map(shown, value))}]"
        case dict():
            pairs = (f"{key}:{shown(value[key])}" for key in sorted(value))
            return f"map[{' '.join(pairs)}]"
        case _:
            return str(value)


def printed(value: Value) -> str:
    """Return the value as an action prints it."""
    return "<no value>" if value is None else shown(value)


def joined(values: Iterable[Value]) -> str:
    """Return values as Go's Sprint does: a space between two that are no strings."""
    parts: list[str] = []
    previous: Value = ""
    for value in values:
        if parts and not isinstance(previous, str) and not isinstance(value, str):
            parts.append(" ")
        parts.append(shown(value))
        previous = value
    return "".join(parts)


def is_equal(left: Value, right: Value) -> bool:
    """Return whether two values are equal.

    Raises: CallFailed for values that do not compare.
    """
    if left is None or right is None:
        return left is right
    if isinstance(left, list | dict) or isinstance(right, list | dict):
        offender = left if isinstance(left, list | dict) else right
        raise CallFailed(
            f"non-comparable type {shown(offender)}: {type_name(offender)}"
        )
    if type(left) is not type(right):
        raise CallFailed("incompatible types for comparison")
    return bool(left == right)


def is_less(left: Value, right: Value) -> bool:
    """Return whether `left` comes before `right`.

    Raises: CallFailed for values that have no order.
    """
    for value in (left, right):
        if type(value) not in _BASIC:
            raise CallFailed("invalid type for comparison")
    if type(left) is not type(right):
        raise CallFailed("incompatible types for comparison")
    if isinstance(left, bool):
        raise CallFailed("invalid type for comparison")
    return bool(left < right)
