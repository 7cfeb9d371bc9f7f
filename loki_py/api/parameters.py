"""What each route may be asked with: the table behind the API's description."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

INT32_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, in the URL or in a form body.

    Attributes:
        schema: of its value, as JSON Schema; every value is sent as text.
        meaning: what it does, and what is assumed without it.
        is_repeated: whether it may be given more than once.
    """

    name: str
    meaning: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    is_required: bool = False
    is_repeated: bool = False


def _integer(low: int, high: int) -> Mapping[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high}


def _one_of(*words: str) -> Mapping[str, Any]:
    return {"type": "string", "enum": list(words)}


QUERY = Parameter("query", "A LogQL query.", is_required=True)
SELECTOR = Parameter("query", 'A selector as `{app="api"}`; all streams without it.')
FROM_TO = (
    Parameter(
        "start",
        "The first moment: unix seconds, nanoseconds, or RFC 3339; an hour before"
        " `end` without it.",
    ),
    Parameter("end", "The end, which is not part of it; now without it."),
    Parameter("since", "A duration as `1h30m` in the place of `start`."),
)
LIMIT = Parameter("limit", "Entries, or series, at most; 100.", _integer(1, INT32_MAX))
DIRECTION = Parameter(
    "direction",
    "`backward`: the newest entries first, which is the default.",
    _one_of("forward", "backward"),
)
STEP = Parameter(
    "step", "Distance of points, in seconds or as a duration; by the range without it."
)
INTERVAL = Parameter(
    "interval", "Entries of a stream are at least so far apart; for log queries."
)
LINE_LIMIT = Parameter(
    "line_limit", "Lines that are looked at; 100.", _integer(1, INT32_MAX)
)
FIELD_LIMITS = (
    Parameter("limit", "Fields or values at most; 1,000.", _integer(1, INT32_MAX)),
    Parameter("field_limit", "The same, where `limit` is not given."),
)
VOLUME = (
    Parameter("targetLabels", "Labels to add volumes up by, with commas between."),
    Parameter(
        "aggregateBy",
        "`series`: by label sets; `labels`: by names of labels.",
        _one_of("series", "labels"),
    ),
)
MATCH = tuple(
    Parameter(name, "A selector; may be repeated.", is_repeated=True)
    for name in ("match", "match[]")
)
TAIL = (
    QUERY,
    FROM_TO[0],
    LIMIT,
    Parameter(
        "delay_for", "Seconds that late entries are waited for; 0.", _integer(0, 5)
    ),
)
MODE = Parameter(
    "mode",
    "`diff`: what is not the default; `defaults`; without it all that is in force.",
    _one_of("diff", "defaults"),
)


def _flag(name: str, meaning: str) -> Parameter:
    return Parameter(name, meaning, _one_of("true", "false"))


_V1 = "/loki/api/v1/"

PARAMETERS: Mapping[str, tuple[Parameter, ...]] = {
    f"{_V1}query_range": (QUERY, *FROM_TO, LIMIT, DIRECTION, STEP, INTERVAL),
    f"{_V1}query": (
        QUERY,
        Parameter("time", "The moment; now without it."),
        LIMIT,
        DIRECTION,
    ),
    f"{_V1}labels": (SELECTOR, *FROM_TO),
    f"{_V1}label": (SELECTOR, *FROM_TO),
    f"{_V1}label/{{name}}/values": (SELECTOR, *FROM_TO),
    f"{_V1}series": (*MATCH, *FROM_TO),
    f"{_V1}format_query": (QUERY,),
    f"{_V1}tail": TAIL,
    "/api/prom/tail": TAIL,
    "/api/prom/query": (
        QUERY,
        Parameter("regexp", "What lines must match besides, without quotes."),
        *FROM_TO,
        LIMIT,
        DIRECTION,
    ),
    "/api/prom/label": (SELECTOR, *FROM_TO),
    "/api/prom/label/{name}/values": (SELECTOR, *FROM_TO),
    "/api/prom/series": (*MATCH, *FROM_TO),
    f"{_V1}index/stats": (SELECTOR, *FROM_TO),
    f"{_V1}index/volume": (QUERY, *FROM_TO, LIMIT, *VOLUME),
    f"{_V1}index/volume_range": (QUERY, *FROM_TO, STEP, LIMIT, *VOLUME),
    f"{_V1}index/shards": (
        SELECTOR,
        *FROM_TO,
        Parameter("targetBytesPerShard", "A size as `600MB`.", is_required=True),
    ),
    f"{_V1}detected_labels": (SELECTOR, *FROM_TO),
    f"{_V1}detected_fields": (QUERY, *FROM_TO, LINE_LIMIT, *FIELD_LIMITS),
    f"{_V1}detected_field/{{name}}/values": (
        QUERY,
        *FROM_TO,
        LINE_LIMIT,
        *FIELD_LIMITS,
    ),
    f"{_V1}patterns": (QUERY, *FROM_TO, STEP),
    "/config": (MODE,),
    "/runtime_config": (MODE,),
    "/log_level": (
        Parameter(
            "log_level",
            "The level from now on, in a POST.",
            _one_of("debug", "info", "warn", "error"),
        ),
    ),
    "/ring": (Parameter("forget", "The instance to take out, in a POST."),),
    "/distributor/ring": (Parameter("forget", "The instance to take out, in a POST."),),
    "/ingester/shutdown": (
        _flag("flush", "Write everything to the object store first; true."),
        _flag("terminate", "End the process afterwards; true."),
    ),
}
"""By path; what is not here takes none."""
