"""Find level fields in lines that are JSON objects.

The first string in document order whose key is one of the names counts, down
to a depth. Names are compared with their case. In a line that is not quite
JSON, a key that is plain to see still counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from loki_py.distributor.level_values import Codes, value_codes
from loki_py.distributor.level_words import CODE_OF_VALUE, UNKNOWN
from loki_py.distributor.line_bytes import LineBytes, Mask, first_of_each
from loki_py.model.batch import Rows

_QUOTE, _COLON, _SPACE, _COMMA = ord('"'), ord(":"), ord(" "), ord(",")
_OPEN, _CLOSE, _BACKSLASH = ord("{"), ord("}"), ord("\\")
_FIRST_NOT_ASCII = 0x80


def json_rows(lines: LineBytes) -> Mask:
    """Return which lines begin with `{` and end with `}`, but for white space."""
    nonempty = lines.end > lines.start
    first, last = lines.raw[lines.start], lines.raw[lines.end - 1]
    mask: Mask = nonempty & (first == _OPEN) & (last == _CLOSE)
    edges = (first <= _SPACE) | (first >= _FIRST_NOT_ASCII)
    edges = (edges & ((last == _CLOSE) | (last <= _SPACE))) | (
        (first == _OPEN) & ((last <= _SPACE) | (last >= _FIRST_NOT_ASCII))
    )
    for row in np.flatnonzero(edges & nonempty).tolist():
        text = _text(lines, row).strip()
        mask[row] = text.startswith("{") and text.endswith("}")
    return mask


def _text(lines: LineBytes, row: int) -> str:
    return bytes(lines.raw[lines.start[row] : lines.end[row]]).decode()


@dataclass(frozen=True, slots=True)
class JsonLevels:
    """Finds the levels of JSON lines.

    Most lines are compact and have the field at the top: those are read at
    once. The others are decoded one by one.

    Attributes:
        names: the fields that hold a level.
        depth_max: how many objects deep to look; 0 is no bound.
    """

    names: Sequence[str]
    depth_max: int

    def codes_of(self, lines: LineBytes) -> Codes:
        """Return the level in a field of each line, UNKNOWN where none is found."""
        codes = np.zeros(len(lines), np.uint8)
        undecided = self._suspicious(lines)
        at, colons = self._keys(lines)
        rows = lines.row_of(at)
        first = first_of_each(rows)
        at, colons, rows = at[first], colons[first], rows[first]
        value = colons + 1
        value += lines.raw[value] == _SPACE
        end = lines.end[rows]
        slashes = np.flatnonzero(lines.raw == _BACKSLASH)
        opens = np.flatnonzero(lines.raw == _OPEN)
        plain = (lines.count_before(opens, at, rows) == 1) & (value < end)
        plain &= lines.raw[value] == _QUOTE
        plain &= lines.count_before(slashes, at, rows) == 0
        codes[rows] = value_codes(lines, value, end)
        undecided[rows] = ~plain
        for row in np.flatnonzero(undecided).tolist():
            codes[row] = self.code_of_line(_text(lines, row))
        return codes

    def _keys(self, lines: LineBytes) -> tuple[Rows, Rows]:
        """Return, ascending, where a level key and the colon after it stand."""
        lasts = {name.encode()[-1] for name in self.names if name}
        ends = (lines.raw[1:-1] == _QUOTE) & (lines.raw[2:] == _COLON)
        letters = np.zeros(len(ends), np.bool_)
        for last in {last | 0x20 for last in lasts}:
            letters |= lines.low[:-2] == last
        colons = np.flatnonzero(ends & letters) + 2
        found_at, found_colons = [], []
        for name in self.names:
            text = b'"' + name.encode() + b'"'
            at = np.maximum(colons - len(text), 0)
            good = lines.spells(text, at, exact=True)
            found_at.append(at[good])
            found_colons.append(colons[good])
        at = np.concatenate([np.zeros(0, np.int64), *found_at])
        order = np.argsort(at, kind="stable")
        at, colons = at[order], np.concatenate([at[:0], *found_colons])[order]
        before = lines.raw[at - 1]
        good = (before == _OPEN) | (before == _COMMA) | (before <= _SPACE)
        return at[good], colons[good]

    def _suspicious(self, lines: LineBytes) -> Mask:
        """Return the lines whose keys may be spelled in an unusual way."""
        raw = lines.raw
        spaced = (raw[1:] == _COLON) & (raw[:-1] <= _SPACE)
        odd = np.flatnonzero(spaced | (raw[1:] == _BACKSLASH)) + 1
        mask = np.zeros(len(lines), np.bool_)
        mask[lines.row_of(odd)] = True
        return mask

    def code_of_line(self, line: str) -> int:
        """Return the level in a field of one line, UNKNOWN where none is found."""
        try:
            value = self._find(msgspec.json.decode(line), 1)
        except (msgspec.DecodeError, RecursionError):
            return UNKNOWN
        return CODE_OF_VALUE.get((value or "").lower().encode(), UNKNOWN)

    def _find(self, document: Any, depth: int) -> str | None:
        if not isinstance(document, dict):
            return None
        for key, value in document.items():
            if isinstance(value, str):
                if key in self.names:
                    return value
            elif isinstance(value, dict) and (
                not self.depth_max or depth < self.depth_max
            ):
                found = self._find(value, depth + 1)
                if found is not None:
                    return found
        return None
