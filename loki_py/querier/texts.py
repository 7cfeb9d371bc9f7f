"""Durations and sizes as Loki's error texts print them."""

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000

_MODEL_UNITS = (
    ("y", 365 * 86_400_000, True),
    ("w", 7 * 86_400_000, True),
    ("d", 86_400_000, False),
    ("h", 3_600_000, False),
    ("m", 60_000, False),
    ("s", 1_000, False),
    ("ms", 1, False),
)
_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def limit_duration_text(duration_ns: int) -> str:
    """Return a duration as limits print, `30d1h`: whole milliseconds.

    Years and weeks are used only where nothing remains. Source: Prometheus'
    model.Duration.
    """
    rest_ms = duration_ns // _NS_PER_MS
    if rest_ms == 0:
        return "0s"
    text = ""
    for unit, unit_ms, only_whole in _MODEL_UNITS:
        if only_whole and rest_ms % unit_ms:
            continue
        count, rest_ms = divmod(rest_ms, unit_ms)
        if count:
            text += f"{count}{unit}"
    return text


def span_text(duration_ns: int) -> str:
    """Return a duration as measured spans print, `69141h50m42.38s`.

    Source: Go's time.Duration.String.
    """
    sign, rest_ns = ("-", -duration_ns) if duration_ns < 0 else ("", duration_ns)
    if rest_ns < _NS_PER_S:
        for unit, unit_ns in (("ms", _NS_PER_MS), ("µs", 1_000), ("ns", 1)):
            if rest_ns >= unit_ns:
                return f"{sign}{_decimal(rest_ns, unit_ns)}{unit}"
        return "0s"
    minutes, rest_ns = divmod(rest_ns, 60 * _NS_PER_S)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest_ns, _NS_PER_S)}s"
    if hours:
        text = f"{hours}h{minutes}m{text}"
    elif minutes:
        text = f"{minutes}m{text}"
    return sign + text


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits and fraction else str(whole)


def size_text(size_bytes: int) -> str:
    """Return a size in powers of 1,024, one decimal below ten: `1.5 GiB`.

    Source: humanize.IBytes.
    """
    if size_bytes < 10:
        return f"{size_bytes} B"
    value, unit = float(size_bytes), 0
    while value >= 1024 and unit < len(_SIZE_UNITS) - 1:
        value /= 1024
        unit += 1
    value = int(value * 10 + 0.5) / 10
    shown = f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return f"{shown} {_SIZE_UNITS[unit]}"
