"""How each kind of limit is read from configuration and printed again.

A kind is a pair of pure functions: `parse` takes what YAML gave and raises
ValueError, `show` gives back what YAML would hold.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loki_py.config import units
from loki_py.config.telling import WrongValue, kind_of


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to write a limit."""

    parse: Callable[[Any], Any]
    show: Callable[[Any], Any] = lambda value: value


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise WrongValue("not true or false", value)


def _count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise WrongValue("not a whole number of 0 or more", value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"not a text: {kind_of(value)}")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if value is None:
        return ()
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f"not a list of texts: {kind_of(value)}")


def _mapping(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return value
    raise ValueError(f"not a mapping with text keys: {kind_of(value)}")


def _mebibytes(value: object) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise WrongValue("not a number of MB", value)
    if not 0 <= value <= _MEBIBYTES_MAX:
        raise WrongValue("not a finite number of MB of 0 or more", value)
    return int(value * units.MIB)


def _items(value: object) -> Sequence[Mapping[str, Any]]:
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_mapping(item) for item in value]
    raise ValueError(f"not a list: {kind_of(value)}")


def one_of(*words: str) -> Kind:
    """Return the kind whose values are exactly `words`."""

    def parse(value: object) -> str:
        if value in words:
            return str(value)
        raise WrongValue(f"not one of {', '.join(words)}", value)

    return Kind(parse)


def mapping_of(kind: Kind) -> Kind:
    """Return the kind of mappings from any text to values of `kind`."""
    return Kind(
        lambda value: {k: kind.parse(v) for k, v in _mapping(value).items()},
        lambda value: {k: kind.show(v) for k, v in value.items()},
    )


def list_of(fields: Mapping[str, tuple[Kind, Any]], make: Callable[..., Any]) -> Kind:
    """Return the kind of lists of records made by `make` from `fields`.

    Args:
        fields: name in YAML and of the argument to (kind, default).
    """

    def parse(value: object) -> tuple[Any, ...]:
        return tuple(make(**record_of(item, fields)) for item in _items(value))

    def show(value: Sequence[Any]) -> list[dict[str, Any]]:
        return [
            {name: kind.show(getattr(item, name)) for name, (kind, _) in fields.items()}
            for item in value
        ]

    return Kind(parse, show)


def record_of(
    item: Mapping[str, Any], fields: Mapping[str, tuple[Kind, Any]]
) -> dict[str, Any]:
    """Return the parsed fields of one record, defaults where they are missing.

    Raises: ValueError, naming the field.
    """
    unknown = sorted(set(item) - set(fields))
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}")
    return {
        name: parse_named(name, kind, item[name]) if name in item else default
        for name, (kind, default) in fields.items()
    }


def parse_named(name: str, kind: Kind, value: object) -> Any:
    """Return the parsed value; errors name the field."""
    try:
        return kind.parse(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _generic_fields(value: object) -> Mapping[str, tuple[str, ...]]:
    given = dict(_mapping(value))
    fields = _mapping(given.pop("fields", None))
    if given:
        raise ValueError(f"unknown field {next(iter(given))!r}")
    for name in fields:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name of metadata: {name!r}")
    return {name: _texts(sources) for name, sources in fields.items()}


# Beyond, the bytes are no finite number.
_MEBIBYTES_MAX = sys.float_info.max / units.MIB
_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)

BOOLEAN = Kind(_boolean)
GENERIC_FIELDS = Kind(
    _generic_fields,
    lambda fields: (
        {"fields": {k: list(v) for k, v in fields.items()}} if fields else {}
    ),
)
COUNT = Kind(_count)
TEXT = Kind(_text)
TEXTS = Kind(_texts, list)
MAPPING = Kind(_mapping, dict)
BYTES = Kind(units.parse_bytes, units.print_bytes)
MEBIBYTES = Kind(_mebibytes, lambda value: value / units.MIB)
DURATION = Kind(units.parse_duration_ns, units.print_duration)
TIME = Kind(units.parse_time_ns, lambda ns: units.print_time(ns) if ns else 0)
