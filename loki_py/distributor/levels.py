"""The level of each line of a batch, from its fields or its words.

A line that is a JSON object is asked for its fields; any other for `key=value`
fields. Where no field spells a level, the first level word of the text counts.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from loki_py.distributor.level_json import JsonLevels, json_rows
from loki_py.distributor.level_logfmt import (
    first_name_codes,
    folded_names,
    other_name_codes,
)
from loki_py.distributor.level_values import Codes, text_codes
from loki_py.distributor.level_words import UNKNOWN
from loki_py.distributor.line_bytes import LineBytes, Mask, Scratch
from loki_py.model.batch import Rows


class LevelDetector:
    """Finds levels; one for each list of field names.

    Args:
        names: the fields that hold a level, the most important first.
        json_depth_max: how many objects deep to look in JSON; 0 is no bound.

    Not thread-safe: buffers are used again.
    """

    def __init__(self, names: Sequence[str], *, json_depth_max: int) -> None:
        self._names = folded_names(names)
        self._json = JsonLevels(tuple(names), json_depth_max)
        self._scratch = Scratch()

    def codes_of(self, line: "pa.LargeStringArray") -> Codes:
        """Return for each line a position in `level_words.LEVELS`."""
        lines = LineBytes(line, self._scratch)
        rows = json_rows(lines)
        if not len(rows):
            codes = self._logfmt_codes(line, lines)
        else:
            codes = np.zeros(len(lines), np.uint8)
            codes[rows] = self._json.codes_of(self._of_rows(line, lines, rows))
            is_other = np.ones(len(lines), np.bool_)
            is_other[rows] = False
            others = np.flatnonzero(is_other)
            if len(others):
                rest = line.take(pa.array(others))
                inner = LineBytes(rest, self._scratch, depth=1)
                codes[others] = self._logfmt_codes(rest, inner)
        left = (codes == UNKNOWN).nonzero()[0]
        if len(left):
            codes[left] = text_codes(self._of_rows(line, lines, left))
        return codes

    def _logfmt_codes(self, line: "pa.LargeStringArray", lines: LineBytes) -> Codes:
        """Return the codes of lines that have a level field, else UNKNOWN."""
        codes = np.zeros(len(lines), np.uint8)
        if not self._names:
            return codes
        rows, found = first_name_codes(lines, self._names[0])
        codes[rows] = found
        if len(rows) == len(lines) or len(self._names) == 1:
            return codes
        without: Mask = np.ones(len(lines), np.bool_)
        without[rows] = False
        left = np.flatnonzero(without)
        rows, found = other_name_codes(
            self._of_rows(line, lines, left), self._names[1:]
        )
        codes[left[rows]] = found
        return codes

    def _of_rows(
        self, line: "pa.LargeStringArray", lines: LineBytes, rows: Rows
    ) -> LineBytes:
        if len(rows) == len(lines):
            return lines
        taken = line.take(pa.array(rows))
        return LineBytes(taken, self._scratch, depth=lines.depth + 1)
