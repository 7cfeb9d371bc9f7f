"""What every section of the configuration is made of: kinds of values."""

from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from loki_py.config.units import (
    parse_bytes,
    parse_duration_ns,
    print_bytes,
    print_duration,
)


def _duration_of(value: object) -> int:
    """Return nanoseconds; a bare number is nanoseconds, as Go reads it."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return parse_duration_ns(value)


def _not_zero(duration_ns: int) -> int:
    if not duration_ns:
        raise ValueError("must not be 0")
    return duration_ns


DurationNs = Annotated[
    int,
    BeforeValidator(_duration_of),
    PlainSerializer(print_duration),
]
PositiveNs = Annotated[DurationNs, AfterValidator(_not_zero)]
"""A deadline, or a period: 0 would be no time at all."""

SizeBytes = Annotated[int, BeforeValidator(parse_bytes), PlainSerializer(print_bytes)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Ratio = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the configuration: frozen, and strict about its keys."""

    # Built when first used: a section inside another is built with that one.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_alias=True,
        validate_by_name=True,
        defer_build=True,
    )
