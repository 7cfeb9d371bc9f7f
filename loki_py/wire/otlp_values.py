"""OpenTelemetry attribute values as the texts that are stored.

A value is a Python one here: text, bool, int, float, bytes, a list, a dict, or
None for nothing. Texts are those of the collector's Go code.
"""

import base64
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_ESCAPES = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)


def value_of_message(message: "AnyValue") -> Any:
    """Return the value that a protobuf message holds."""
    kind = message.WhichOneof("value")
    if kind == "array_value":
        return [value_of_message(each) for each in message.array_value.values]
    if kind == "kvlist_value":
        return {
            each.key: value_of_message(each.value)
            for each in message.kvlist_value.values
        }
    return None if kind is None else getattr(message, kind)


def text_of(value: Any) -> str:
    """Return the text of a value; lists and maps become JSON."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            if math.isfinite(value):
                return _text_of_float(value)
            shown = {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
            return f"json: unsupported value: {shown}"
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return _json_of(value)


def flattened(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of a value; those in a map get its name as prefix."""
    if isinstance(value, dict):
        for inner, each in value.items():
            yield from flattened(f"{name}_{inner}", each)
    else:
        yield name, text_of(value)


def _json_of(value: Any) -> str:
    """Return JSON as Go's encoder writes it; "" where it refuses a number."""
    try:
        return "".join(_json_pieces(value))
    except ValueError:
        return ""


def _json_pieces(value: Any) -> Iterator[str]:
    match value:
        case dict():
            yield "{"
            for position, name in enumerate(sorted(value)):
                yield ("," if position else "") + _quoted(name) + ":"
                yield from _json_pieces(value[name])
            yield "}"
        case list():
            yield "["
            for position, each in enumerate(value):
                yield "," if position else ""
                yield from _json_pieces(each)
            yield "]"
        case None:
            yield "null"
        case str() | bytes():
            yield _quoted(value if isinstance(value, str) else text_of(value))
        case float() if not math.isfinite(value):
            raise ValueError(f"no JSON number: {value}")
        case _:
            yield text_of(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).translate(_ESCAPES)


def _text_of_float(value: float) -> str:
    """Return the shortest digits that give the number back, as JSON has them."""
    size = abs(value)
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    if size >= 1e21 or size < 1e-6:
        digits, _, exponent = repr(value).partition("e")
        return f"{digits.removesuffix('.0')}e{int(exponent):+d}"
    digits, _, exponent = repr(value).partition("e")
    if exponent:
        decimals = max(len(digits.partition(".")[2]) - int(exponent), 0)
        digits = f"{value:.{decimals}f}"
    return digits.removesuffix(".0")
