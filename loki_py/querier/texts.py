"""Sizes as Loki's error texts print them."""

_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


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
