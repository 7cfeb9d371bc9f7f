"""Go's fmt.Sprintf over template values."""

import re

from loki_py.logql.literals import print_float
from loki_py.logql.template.errors import CallFailed
from loki_py.logql.template.values import Value, shown, type_name
from loki_py.model.labels import quote

WIDTH_MAX = 10_000
"""Widths and precisions beyond are refused, they would only fill memory."""

_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\*|[0-9]*)(?:\.(?P<precision>\*|[0-9]*))?"
    r"(?P<verb>.?)",
    re.DOTALL,
)
_INT_BASES = {"d": "d", "b": "b", "o": "o", "x": "x", "X": "X", "O": "o"}


class _Spec:
    """Flags, width and precision of one verb."""

    def __init__(self, flags: str, width: int | None, precision: int | None) -> None:
        self.flags = flags
        self.width = width
        self.precision = precision

    def padded(self, text: str, *, is_number: bool = False) -> str:
        if self.width is None or len(text) >= self.width:
            return text
        if "-" in self.flags:
            return text.ljust(self.width)
        if "0" in self.flags:
            sign = text[:1] if is_number and text[:1] in set("+-") else ""
            return sign + text[len(sign) :].rjust(self.width - len(sign), "0")
        return text.rjust(self.width)


def sprintf(layout: str, values: list[Value]) -> str:
    """Return the layout with its verbs replaced by the values.

    Mistakes show in the text, as `%!d(string=x)`; they do not fail.

    Raises: CallFailed for a width beyond WIDTH_MAX.
    """
    waiting = list(values)
    parts: list[str] = []
    at = 0
    for match in _VERB.finditer(layout):
        parts.append(layout[at : match.start()])
        at = match.end()
        parts.append(_formatted(match, waiting))
    parts.append(layout[at:])
    if waiting:
        rest = ", ".join(map(_typed, waiting))
        parts.append(f"%!(EXTRA {rest})")
    return "".join(parts)


def _formatted(match: "re.Match[str]", waiting: list[Value]) -> str:
    verb = match["verb"]
    if not verb:
        return "%!(NOVERB)"
    if verb == "%":
        return "%"
    width = _size(match["width"], waiting)
    precision = None
    if match["precision"] is not None:
        precision = _size(match["precision"] or "0", waiting)
    flags = match["flags"]
    if width is not None and width < 0:
        flags, width = flags + "-", -width
    if not waiting:
        return f"%!{verb}(MISSING)"
    return _verb(verb, _Spec(flags, width, precision), waiting.pop(0))


def _size(text: str, waiting: list[Value]) -> int | None:
    if text == "*":
        value = waiting.pop(0) if waiting else None
        size = value if isinstance(value, int) else None
    else:
        size = int(text[:9]) if text else None
    if size is not None and abs(size) > WIDTH_MAX:
        raise CallFailed(f"width {size} is beyond {WIDTH_MAX}")
    return size


def _verb(verb: str, spec: _Spec, value: Value) -> str:
    if verb == "T":
        return spec.padded(type_name(value))
    if value is None:
        return spec.padded("<nil>" if verb == "v" else f"%!{verb}(<nil>)")
    text = _bad(verb, value)
    match value:
        case bool():
            if verb in "tv":
                text = spec.padded(shown(value))
        case int():
            text = _int(verb, spec, value)
        case float():
            text = _float(verb, spec, value)
        case list() | dict() if verb != "v":
            text = _each(verb, spec, value)
        case str():
            text = _string(verb, spec, value)
        case _:
            if verb in "vs":
                text = _string("s", spec, shown(value))
    return text


def _each(verb: str, spec: _Spec, value: Value) -> str:
    if isinstance(value, list):
        return f"[{' '.join(_verb(verb, spec, item) for item in value)}]"
    pairs = (
        f"{_verb(verb, spec, key)}:{_verb(verb, spec, value[key])}"
        for key in sorted(value)
    )
    return f"map[{' '.join(pairs)}]"


def _int(verb: str, spec: _Spec, value: int) -> str:
    sign = "-" if value < 0 else "+" if "+" in spec.flags else ""
    if not sign and " " in spec.flags:
        sign = " "
    base = _INT_BASES.get("d" if verb == "v" else verb)
    if base is not None:
        digits = format(abs(value), base)
        if spec.precision is not None:
            digits = digits.zfill(spec.precision)
        prefix = "0o" if verb == "O" else ""
        if "#" in spec.flags:
            prefix = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "")
        return spec.padded(sign + prefix + digits, is_number=True)
    if verb in "cqU":
        return spec.padded(_rune(verb, value))
    return _bad(verb, value)


def _rune(verb: str, value: int) -> str:
    if verb == "U":
        return f"U+{value:04X}"
    is_char = 0 <= value <= 0x10FFFF and not 0xD800 <= value <= 0xDFFF
    char = chr(value) if is_char else "\ufffd"
    if verb == "c":
        return char
    inner = quote(char)[1:-1]
    return "'" + inner.replace('\\"', '"').replace("'", "\\'") + "'"


def _float(verb: str, spec: _Spec, value: float) -> str:
    precision = spec.precision
    if verb not in "vgGeEfF":
        return _bad(verb, value)
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124
        text = print_float(value)
        if value > 0 and "+" not in spec.flags:
            text = text.removeprefix("+")
            text = "+Inf" if verb != "v" or text == "Inf" else text
        plain = _Spec(spec.flags.replace("0", ""), spec.width, None)
        return plain.padded(text)
    if verb in "fF":
        text = f"{value:.{6 if precision is None else precision}f}"
    elif verb in "eE":
        text = f"{value:.{6 if precision is None else precision}{verb}}"
    elif precision is None:
        text = print_float(value)
    else:
        text = f"{value:.{precision or 1}g}"
    if verb in "GE":
        text = text.upper()
    if "+" in spec.flags and not text.startswith("-"):
        text = f"+{text}"
    elif " " in spec.flags and not text.startswith("-"):
        text = f" {text}"
    return spec.padded(text, is_number=True)


def _string(verb: str, spec: _Spec, value: str) -> str:
    if verb in "xX":
        raw = value.encode()[: spec.precision]
        text = raw.hex(" ") if " " in spec.flags else raw.hex()
        return spec.padded(text if verb == "x" else text.upper())
    cut = value if spec.precision is None else value[: spec.precision]
    if verb == "q" or (verb == "v" and "#" in spec.flags):
        if "#" in spec.flags and "`" not in cut and verb == "q":
            return spec.padded(f"`{cut}`")
        return spec.padded(quote(cut))
    return spec.padded(cut) if verb in "vs" else _bad(verb, value)


def _bad(verb: str, value: Value) -> str:
    return f"%!{verb}({_typed(value)})"


def _typed(value: Value) -> str:
    return "<nil>" if value is None else f"{type_name(value)}={shown(value)}"
