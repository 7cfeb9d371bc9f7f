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
from loki_py.distributor.line_bytes import LineBytes, Mask
from loki_py.model.batch import Rows


class LevelDetector:
    """Finds levels; one for each list of field names.

    Args:
        names: the fields that hold a level, the most important first.
        json_depth_max: how many objects deep to look in JSON; 0 is no bound.
    """

    def __init__(self, names: Sequence[str], *, json_depth_max: int) -> None:
        self._names = folded_names(names)
        self._json = JsonLevels(tuple(names), json_depth_max)

    def codes_of(self, line: "pa.LargeStringArray") -> Codes:
        """Return for each line a position in `level_words.LEVELS`."""
        lines = LineBytes(line)
        codes = np.zeros(len(lines), np.uint8)
        is_json = json_rows(lines)
        if not is_json.any():
            self._fill_logfmt(codes, line, lines)
        else:
            rows = np.flatnonzero(is_json)
            codes[rows] = self._json.codes_of(_of_rows(line, lines, rows))
            others = np.flatnonzero(~is_json)
            if len(others):
                rest = line.take(pa.array(others))
                filled = codes[others]
                self._fill_logfmt(filled, rest, LineBytes(rest))
                codes[others] = filled
        left = np.flatnonzero(codes == UNKNOWN)
        if len(left):
            codes[left] = text_codes(_of_rows(line, lines, left))
        return codes

    def _fill_logfmt(
        self, codes: Codes, line: "pa.LargeStringArray", lines: LineBytes
    ) -> None:
        """Set the codes of lines that have a level field."""
        if not self._names:
            return
        rows, found = first_name_codes(lines, self._names[0])
        codes[rows] = found
        without: Mask = np.ones(len(lines), np.bool_)
        without[rows] = False
        left = np.flatnonzero(without)
        if len(left) and len(self._names) > 1:
            rows, found = other_name_codes(_of_rows(line, lines, left), self._names[1:])
            codes[left[rows]] = found


def _of_rows(line: "pa.LargeStringArray", lines: LineBytes, rows: Rows) -> LineBytes:
    return lines if len(rows) == len(lines) else LineBytes(line.take(pa.array(rows)))
