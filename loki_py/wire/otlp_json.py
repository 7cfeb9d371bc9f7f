"""Decode OTLP log bodies in JSON into columns.

Bodies are decoded into typed records in C; each field of all records is then
taken at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from loki_py.config.otlp import OtlpRules
from loki_py.errors import ValidationFailed
from loki_py.model.batch import Rows
from loki_py.wire.label_text import check_count
from loki_py.wire.otlp_batch import (
    SEVERITY_TEXT,
    Attributes,
    Records,
    Texts,
    resource_of,
    scope_metadata_of,
    split_attributes,
    texts_of_numbers,
)
from loki_py.wire.otlp_values import text_of

OBJECTS_MAX = 2_000_000
"""Objects in a body, braces in its texts included."""

_TEXT = pa.large_string()
_INT64_MAX = 2**63 - 1
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SEVERITIES: Mapping[Any, int] = {
    "SEVERITY_NUMBER_UNSPECIFIED": 0,
    **{
        f"SEVERITY_NUMBER_{level}{step or ''}": 4 * position + max(step, 1)
        for position, level in enumerate(_LEVELS)
        for step in (0, 2, 3, 4)
    },
}
_NONE: Sequence[Any] = ()


class _Value(msgspec.Struct, gc=False):
    stringValue: str | None = None  # noqa: N815  names of the format
    boolValue: bool | None = None  # noqa: N815
    intValue: int | str | None = None  # noqa: N815
    doubleValue: float | str | None = None  # noqa: N815
    arrayValue: "_Array | None" = None  # noqa: N815
    kvlistValue: "_Map | None" = None  # noqa: N815
    bytesValue: bytes | None = None  # noqa: N815


class _Attribute(msgspec.Struct, gc=False):
    key: str = ""
    value: _Value | None = None


class _Array(msgspec.Struct, gc=False):
    values: list[_Value | None] | None = None


class _Map(msgspec.Struct, gc=False):
    values: list[_Attribute] | None = None


class _Record(msgspec.Struct, gc=False):
    timeUnixNano: int | str | None = None  # noqa: N815
    observedTimeUnixNano: int | str | None = None  # noqa: N815
    severityNumber: int | str | None = None  # noqa: N815
    severityText: str | None = None  # noqa: N815
    body: _Value | None = None
    attributes: list[_Attribute] | None = None
    droppedAttributesCount: int | None = None  # noqa: N815
    flags: int | None = None
    traceId: str | None = None  # noqa: N815
    spanId: str | None = None  # noqa: N815
    eventName: str | None = None  # noqa: N815


class _Scope(msgspec.Struct, gc=False):
    name: str | None = None
    version: str | None = None
    attributes: list[_Attribute] | None = None
    droppedAttributesCount: int | None = None  # noqa: N815


class _ScopeLogs(msgspec.Struct, gc=False):
    scope: _Scope | None = None
    logRecords: list[_Record] | None = None  # noqa: N815


class _Resource(msgspec.Struct, gc=False):
    attributes: list[_Attribute] | None = None


class _ResourceLogs(msgspec.Struct, gc=False):
    resource: _Resource | None = None
    scopeLogs: list[_ScopeLogs] | None = None  # noqa: N815


class _Request(msgspec.Struct, gc=False):
    resourceLogs: list[_ResourceLogs] | None = None  # noqa: N815


class OtlpJsonDecoder:
    """Turns JSON bodies into records."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Request, strict=True)

    def decode(self, body: bytes, rules: OtlpRules) -> Records:
        """Return the records of an uncompressed body; they may be none.

        Raises: ValidationFailed, BodyTooLarge.
        """
        check_count(body.count(b"{"), what="objects", count_max=OBJECTS_MAX)
        try:
            request = self._decoder.decode(body)
            return _records_of(request.resourceLogs or _NONE, rules)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise ValidationFailed(f"json: {error}") from None


def _records_of(groups: Sequence[_ResourceLogs], rules: OtlpRules) -> Records:
    resources, scopes, resource, parts = [], [], [], []
    for position, group in enumerate(groups):
        given = group.resource or _Resource()
        resources.append(resource_of(_pairs_of(given.attributes), rules))
        for logs in group.scopeLogs or _NONE:
            scope = logs.scope or _Scope()
            scopes.append(
                scope_metadata_of(
                    _pairs_of(scope.attributes),
                    name=scope.name or "",
                    version=scope.version or "",
                    dropped_count=scope.droppedAttributesCount or 0,
                    rules=rules,
                )
            )
            resource.append(position)
            parts.append(logs.logRecords or _NONE)
    counts = [len(part) for part in parts]
    records: list[_Record] = [record for part in parts for record in part]
    attributes, labels = split_attributes(*_attributes_of(records), rules)
    return Records(
        np.repeat(np.arange(len(parts)), counts),
        scopes,
        np.array(resource, np.int64),
        resources,
        _integers([record.timeUnixNano for record in records]),
        _integers([record.observedTimeUnixNano for record in records]),
        pa.array([_body_of(record.body) for record in records], _TEXT),
        _columns_of(records),
        attributes,
        labels,
    )


def _columns_of(records: Sequence[_Record]) -> Mapping[str, Texts]:
    severity = [record.severityNumber for record in records]
    numbers = {
        "severity_number": _integers([_SEVERITIES.get(s, s) for s in severity]),
        "dropped_attributes_count": _integers(
            [record.droppedAttributesCount for record in records]
        ),
        "flags": _integers([record.flags for record in records]),
    }
    columns = {
        name: texts_of_numbers(values, values != 0)
        for name, values in numbers.items()
        if values.any()
    }
    texts = {
        SEVERITY_TEXT: [record.severityText for record in records],
        "trace_id": [_id_of(record.traceId, "TraceID", 32) for record in records],
        "span_id": [_id_of(record.spanId, "SpanID", 16) for record in records],
        "event_name": [record.eventName for record in records],
    }
    return columns | {
        name: pa.array([value or None for value in values], _TEXT)
        for name, values in texts.items()
        if any(values)
    }


def _attributes_of(
    records: Sequence[_Record],
) -> tuple[Attributes, Mapping[int, Any]]:
    lists = [record.attributes or _NONE for record in records]
    attributes = [attribute for each in lists for attribute in each]
    values = [
        attribute.value.stringValue if attribute.value is not None else ""
        for attribute in attributes
    ]
    nested = {}
    for index in [i for i, value in enumerate(values) if value is None]:
        value = _python_of(attributes[index].value)
        if isinstance(value, dict):
            nested[index] = value
        values[index] = "" if isinstance(value, dict) else text_of(value)
    return (
        Attributes(
            np.repeat(np.arange(len(records)), [len(each) for each in lists]),
            pa.array([attribute.key for attribute in attributes], _TEXT),
            pa.array(values, _TEXT),
        ),
        nested,
    )


def _pairs_of(attributes: list[_Attribute] | None) -> list[tuple[str, Any]]:
    return [(each.key, _python_of(each.value)) for each in attributes or _NONE]


def _body_of(body: _Value | None) -> str:
    if body is None:
        return ""
    return body.stringValue or text_of(_python_of(body))


def _python_of(value: _Value | None) -> Any:
    """Return the value as `otlp_values` has it."""
    match value:
        case None:
            return None
        case _Value(stringValue=str() as found):
            return found
        case _Value(boolValue=bool() as found):
            return found
        case _Value(intValue=int() | str() as found):
            return _integer_of(found)
        case _Value(doubleValue=float() | str() as found):
            return _float_of(found)
        case _Value(arrayValue=_Array() as found):
            return [_python_of(each) for each in found.values or _NONE]
        case _Value(kvlistValue=_Map() as found):
            return dict(_pairs_of(found.values))
        case _:
            return value.bytesValue


def _float_of(value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValidationFailed(f"json: not a number: {value!r}") from None


def _integer_of(value: int | str) -> int:
    try:
        number = int(value)
    except ValueError:
        raise ValidationFailed(f"json: not an integer: {value!r}") from None
    if -_INT64_MAX - 1 <= number <= 2**64 - 1:
        return number
    raise ValidationFailed(f"json: integer out of range: {number}")


def _integers(values: Sequence[int | str | None]) -> Rows:
    """Return the integers, 0 for None."""
    return np.array(
        [min(_integer_of(value), _INT64_MAX) if value else 0 for value in values],
        np.int64,
    )


def _id_of(digits: str | None, name: str, length: int) -> str | None:
    """Return an id's hexadecimal digits, None where all of it is zero."""
    if not digits:
        return None
    try:
        value = int(digits, 16)
    except ValueError:
        value = -1
    if value < 0 or len(digits) != length:
        raise ValidationFailed(f"json: invalid {name}: {digits!r}")
    return digits.lower() if value else None
