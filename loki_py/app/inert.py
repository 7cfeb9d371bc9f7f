"""Text that cannot steer a terminal: what lines hold is shown, never obeyed.

Pure.
"""

_KEPT = {0x09, 0x0A}  # tab and line feed
_PICTURES = 0x2400
_DELETE, _DELETE_PICTURE = 0x7F, 0x2421
# These turn the direction of text around, or hide it.
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))

_VISIBLE: dict[int, int | str] = {
    **{code: _PICTURES + code for code in range(0x20) if code not in _KEPT},
    _DELETE: _DELETE_PICTURE,
    **{code: f"\\x{code:02x}" for code in range(0x80, 0xA0)},
    **{code: f"\\u{code:04x}" for code in _DIRECTIONS},
}
_ON_ONE_ROW: dict[int, int | str] = {**_VISIBLE, 0x0A: _PICTURES + 0x0A, 0x09: "    "}


def inert(text: str) -> str:
    """Return the text with control characters as pictures, `␛` for escape.

    Tabs and line ends stay.
    """
    return text if text.isprintable() else text.translate(_VISIBLE)


def inert_row(text: str) -> str:
    """Return the same on one row: line ends are pictures too, tabs are spaces."""
    return text if text.isprintable() else text.translate(_ON_ONE_ROW)
