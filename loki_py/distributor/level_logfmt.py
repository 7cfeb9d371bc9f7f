"""Find level fields in lines of `key=value` pairs.

A key stands at the line's start or after a byte up to a space, outside double
quotes, and is followed by `=`; its case does not matter. Of several level
fields the first in the list of names counts, of that its first place.
"""

from collections.abc import Sequence

import numpy as np

from loki_py.distributor.level_values import Codes, value_codes
from loki_py.distributor.line_bytes import LineBytes, first_of_each
from loki_py.model.batch import Rows

_EQUALS, _SPACE = ord("="), ord(" ")


def folded_names(names: Sequence[str]) -> tuple[bytes, ...]:
    """Return the distinct names with bit 5 of every byte set, in order."""
    folded = (bytes(byte | 0x20 for byte in name.encode()) for name in names if name)
    return tuple(dict.fromkeys(folded))


def first_name_codes(lines: LineBytes, name: bytes) -> tuple[Rows, Codes]:
    """Return the rows that have the field `name`, and the codes of its values."""
    return _codes_at(lines, name, lines.where_after(_EQUALS, name[-1]))


def other_name_codes(lines: LineBytes, names: Sequence[bytes]) -> tuple[Rows, Codes]:
    """Return the rows that have one of the fields, and the codes of its values."""
    found_rows: list[Rows] = [np.zeros(0, np.int64)]
    found_codes: list[Codes] = [np.zeros(0, np.uint8)]
    equals = lines.where(_EQUALS)
    before = lines.low[equals - 1]
    for name in names:
        near = equals[before == name[-1]]
        if not len(near):
            continue
        rows, codes = _codes_at(lines, name, near)
        found_rows.append(rows)
        found_codes.append(codes)
    rows, first = np.unique(np.concatenate(found_rows), return_index=True)
    return rows, np.concatenate(found_codes)[first]


def _codes_at(lines: LineBytes, name: bytes, equals: Rows) -> tuple[Rows, Codes]:
    at = equals - len(name)
    if len(name) > 8:
        inside = at >= lines.start[:1]
        at, equals = at[inside], equals[inside]
    spelled = lines.spells(name, at, exact=False)
    at, equals = at[spelled], equals[spelled]
    if not len(at):
        return at, np.zeros(0, np.uint8)
    rows = lines.row_of(at)
    start, end = lines.start[rows], lines.end[rows]
    good = (at == start) | (lines.raw[at - 1] <= _SPACE)
    good &= (equals < end) & ~lines.in_quotes(at, rows)
    rows, equals, end = rows[good], equals[good], end[good]
    first = first_of_each(rows)
    return rows[first], value_codes(lines, equals[first] + 1, end[first])
