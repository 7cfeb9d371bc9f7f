"""The tokens of LogQL and how error messages name them."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Token kinds by the name that error messages show.

    The order of definition is the order in which a message lists the tokens
    that would have been accepted.
    """

    END = "$end"
    BYTES = "BYTES"
    IDENTIFIER = "IDENTIFIER"
    STRING = "STRING"
    NUMBER = "NUMBER"
    FLAG = "FUNCTION_FLAG"
    DURATION = "DURATION"
    RANGE = "RANGE"
    EQ = "="
    RE = "=~"
    NRE = "!~"
    NPA = "!>"
    OPEN_BRACE = "{"
    CLOSE_BRACE = "}"
    CLOSE_BRACKET = "]"
    COMMA = ","
    DOT = "."
    PIPE_MATCH = "|~"
    PIPE_EXACT = "|="
    PIPE_PATTERN = "|>"
    OPEN_PARENTHESIS = "("
    CLOSE_PARENTHESIS = ")"
    BY = "by"
    WITHOUT = "without"
    COUNT_OVER_TIME = "COUNT_OVER_TIME"
    RATE = "RATE"
    RATE_COUNTER = "RATE_COUNTER"
    SUM = "SUM"
    SORT = "SORT"
    SORT_DESC = "SORT_DESC"
    AVG = "AVG"
    MAX = "MAX"
    MIN = "MIN"
    COUNT = "COUNT"
    STDDEV = "STDDEV"
    STDVAR = "STDVAR"
    BOTTOMK = "BOTTOMK"
    TOPK = "TOPK"
    APPROX_TOPK = "APPROX_TOPK"
    BYTES_OVER_TIME = "BYTES_OVER_TIME"
    BYTES_RATE = "BYTES_RATE"
    BOOL = "bool"
    JSON = "json"
    REGEXP = "regexp"
    LOGFMT = "logfmt"
    PIPE = "|"
    LINE_FORMAT = "line_format"
    LABEL_FORMAT = "label_format"
    UNWRAP = "unwrap"
    AVG_OVER_TIME = "AVG_OVER_TIME"
    SUM_OVER_TIME = "SUM_OVER_TIME"
    MIN_OVER_TIME = "MIN_OVER_TIME"
    MAX_OVER_TIME = "MAX_OVER_TIME"
    STDVAR_OVER_TIME = "STDVAR_OVER_TIME"
    STDDEV_OVER_TIME = "STDDEV_OVER_TIME"
    QUANTILE_OVER_TIME = "QUANTILE_OVER_TIME"
    BYTES_CONV = "BYTES_CONV"
    DURATION_CONV = "DURATION_CONV"
    DURATION_SECONDS_CONV = "DURATION_SECONDS_CONV"
    FIRST_OVER_TIME = "FIRST_OVER_TIME"
    LAST_OVER_TIME = "LAST_OVER_TIME"
    ABSENT_OVER_TIME = "ABSENT_OVER_TIME"
    VECTOR = "VECTOR"
    LABEL_REPLACE = "LABEL_REPLACE"
    UNPACK = "unpack"
    OFFSET = "offset"
    PATTERN = "pattern"
    IP = "ip"
    ON = "on"
    IGNORING = "ignoring"
    GROUP_LEFT = "group_left"
    GROUP_RIGHT = "group_right"
    DECOLORIZE = "decolorize"
    DROP = "drop"
    KEEP = "keep"
    OR = "or"
    AND = "and"
    UNLESS = "unless"
    CMP_EQ = "=="
    NEQ = "!="
    LT = "<"
    LTE = "<="
    GT = ">"
    GTE = ">="
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    POW = "^"


RANK = {kind: rank for rank, kind in enumerate(Kind)}

_NOT_WRITTEN = {
    Kind.END, Kind.BYTES, Kind.IDENTIFIER, Kind.STRING, Kind.NUMBER, Kind.FLAG,
    Kind.DURATION, Kind.RANGE,
}  # fmt: skip
_CONVERSIONS = {
    "bytes": Kind.BYTES_CONV,
    "duration": Kind.DURATION_CONV,
    "duration_seconds": Kind.DURATION_SECONDS_CONV,
}

FUNCTIONS: dict[str, Kind] = {
    kind.value.lower(): kind
    for kind in Kind
    if kind not in _NOT_WRITTEN
    and kind.value.isupper()
    and not kind.value.endswith("_CONV")
} | {"ip": Kind.IP, **_CONVERSIONS}
"""Names that are tokens only where an argument list follows."""

SYMBOLS: dict[str, Kind] = {
    kind.value: kind
    for kind in Kind
    if kind not in _NOT_WRITTEN and not kind.value.isupper() and kind is not Kind.IP
}
"""Operators, punctuation and reserved words by their text."""

FLAGS = frozenset({"--strict", "--keep-empty"})


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        value: text of an IDENTIFIER, STRING, NUMBER or FLAG; ns of a DURATION
            or RANGE; bytes of a BYTES; "" otherwise.
        line, column: where error messages place it; line 0 where the token was
            completed by looking ahead.
    """

    kind: Kind
    value: str | int
    line: int
    column: int
