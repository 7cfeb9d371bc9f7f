"""Sizes as Loki's error texts and logcli print them."""

from collections.abc import Sequence

_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_DECIMAL_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def size_text(size_bytes: int) -> str:
    """Return a size in powers of 1,024, one decimal below ten: `1.5 GiB`.

    Source: humanize.IBytes.
    """
    return _scaled(size_bytes, 1024, _BINARY_UNITS)


def decimal_size_text(size_bytes: int) -> str:
    """Return a size in powers of 1,000: `1.5 GB`.

    Source: humanize.Bytes.
    """
    return _scaled(size_bytes, 1000, _DECIMAL_UNITS)


def _scaled(size_bytes: int, base: int, units: Sequence[str]) -> str:
    if size_bytes < 10:
        return f"{size_bytes} B"
    value, unit = float(size_bytes), 0
    while value >= base and unit < len(units) - 1:
        value /= base
        unit += 1
    value = int(value * 10 + 0.5) / 10
    shown = f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return f"{shown} {units[unit]}"
