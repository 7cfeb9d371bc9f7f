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
from loki_py.distributor.line_bytes import (
    LineBytes,
    Mask,
    first_of_each,
    true_positions,
)
from loki_py.model.batch import Rows

_QUOTE, _COLON, _SPACE, _COMMA = ord('"'), ord(":"), ord(" "), ord(",")
_OPEN, _CLOSE, _BACKSLASH = ord("{"), ord("}"), ord("\\")
_OPEN_LIST, _CLOSE_LIST = ord("["), ord("]")
_FIRST_NOT_ASCII = 0x80


def json_rows(lines: LineBytes) -> Rows:
    """Return the lines that begin with `{` and end with `}`, but for white space."""
    first = lines.raw[lines.start]
    begins = (first == _OPEN) | (first <= _SPACE) | (first >= _FIRST_NOT_ASCII)
    rows: Rows = (begins & (lines.end > lines.start)).nonzero()[0]
    if not len(rows):
        return rows
    first, last = first[rows], lines.raw[lines.end[rows] - 1]
    ends = (last == _CLOSE) | (last <= _SPACE) | (last >= _FIRST_NOT_ASCII)
    found = (first == _OPEN) & (last == _CLOSE)
    for index in np.flatnonzero(ends & ~found).tolist():
        text = _text(lines, int(rows[index])).strip()
        found[index] = text.startswith("{") and text.endswith("}")
    json: Rows = rows[found]
    return json


def _text(lines: LineBytes, row: int) -> str:
    return bytes(lines.raw[lines.start[row] : lines.end[row]]).decode()


@dataclass(frozen=True, slots=True)
class JsonLevels:
    """Finds the levels of JSON lines.

    Lines whose keys are spelled plainly are read at once; the others are
    decoded one by one.

    Attributes:
        names: the fields that hold a level.
        depth_max: how many objects deep to look; 0 is no bound.
    """

    names: Sequence[str]
    depth_max: int

    def codes_of(self, lines: LineBytes) -> Codes:
        """Return the level in a field of each line, UNKNOWN where none is found."""
        codes = np.zeros(len(lines), np.uint8)
        at, colons = self._keys(lines)
        rows = lines.row_of(at)
        value = colons + 1
        value += lines.raw[value] == _SPACE
        following = lines.raw[value]
        counts = (following == _QUOTE) & (value < lines.end[rows])
        counts &= self._is_reached(lines, at, rows)
        at, rows, value = at[counts], rows[counts], value[counts]
        first = first_of_each(rows)
        rows = rows[first]
        codes[rows] = value_codes(lines, value[first], lines.end[rows])
        for row in self._suspicious(lines).tolist():
            codes[row] = self.code_of_line(_text(lines, row))
        return codes

    def _keys(self, lines: LineBytes) -> tuple[Rows, Rows]:
        """Return, ascending, where a level key and the colon after it stand."""
        colons = lines.where_after(_COLON, _QUOTE)
        letters = lines.low[colons - 2]
        found_at, found_colons = [colons[:0]], [colons[:0]]
        for name in self.names:
            text = b'"' + name.encode() + b'"'
            near = colons[letters == (text[-2] | 0x20)]
            near = near[near >= len(text)]
            if not len(near):
                continue
            good = near[lines.spells(text, near - len(text), exact=True)]
            found_at.append(good - len(text))
            found_colons.append(good)
        at = np.concatenate(found_at)
        order = np.argsort(at, kind="stable")
        at, colons = at[order], np.concatenate(found_colons)[order]
        before = lines.raw[at - 1]
        good = (before == _OPEN) | (before == _COMMA) | (before <= _SPACE)
        return at[good], colons[good]

    def _is_reached(self, lines: LineBytes, at: Rows, rows: Rows) -> Mask:
        """Return which keys stand in objects that are looked into."""
        opens = lines.count_before(lines.where(_OPEN), at, rows)
        lists = lines.count_before(lines.where(_OPEN_LIST), at, rows)
        reached: Mask = (opens == 1) & (lists == 0)
        if not reached.all():
            depth = _depth(lines, at, rows, _OPEN, _CLOSE)
            reached = depth <= (self.depth_max or len(lines.raw))
            reached &= _depth(lines, at, rows, _OPEN_LIST, _CLOSE_LIST) == 0
        return reached

    def _suspicious(self, lines: LineBytes) -> Rows:
        """Return the lines whose keys or values may be spelled in an unusual way."""
        raw, odd, other = lines.raw, lines.mask("first"), lines.mask("second")
        # A colon after a space, or before two; `\\u` that may spell a letter.
        is_space = np.less_equal(raw, np.uint8(_SPACE), out=lines.mask("third"))
        odd[0] = False
        odd[1:] = is_space[:-1]
        odd[:-2] |= is_space[1:-1] & is_space[2:]
        odd &= np.equal(raw, np.uint8(_COLON), out=other)
        np.equal(raw, np.uint8(_BACKSLASH), out=other)
        other[:-1] &= raw[1:] == ord("u")
        odd |= other
        rows = lines.row_of(true_positions(odd))
        return rows[first_of_each(rows)]

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


def _depth(lines: LineBytes, at: Rows, rows: Rows, opens: int, closes: int) -> Rows:
    """Return how many brackets are open at each position, those in texts aside."""
    brackets = lines.mask("first")
    np.equal(lines.raw, np.uint8(opens), out=brackets)
    brackets |= np.equal(lines.raw, np.uint8(closes), out=lines.mask("second"))
    marks = true_positions(brackets)
    marks = marks[~lines.in_quotes(marks, lines.row_of(marks))]
    steps = np.where(lines.raw[marks] == opens, 1, -1)
    height = np.concatenate([[0], np.cumsum(steps)])
    depth: Rows = height[np.searchsorted(marks, at)]
    depth -= height[np.searchsorted(marks, lines.start[rows])]
    return depth
