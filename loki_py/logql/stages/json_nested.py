"""Fields of JSON lines that may be nested, by the names that they get as labels.

`a_b` is the field `a_b`, or `b` of the object `a`. Lines in which other keys may
become the name too are left to a reader of single lines.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import polars as pl

from loki_py.logql.exec.frame import Mask
from loki_py.logql.stages.json_paths import Path, PathReader

_PIECES_MAX = 3
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9]*(?:_[a-zA-Z0-9]+)*")
_SPACE = r"(?:\s|\\[bfnrtu])"
_OTHER = r"(?:\\u[0-9a-fA-F]{4}|\\.|[^a-zA-Z0-9_\\\"])"
"""What becomes `_` in a name and is none."""


class NestedFields:
    """Read the same fields of many lines.

    Attributes:
        is_usable: false for names that too many keys may become.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._paths = {name: list(_paths_of(name)) for name in names}
        self.is_usable = bool(names) and all(
            _NAME.fullmatch(name) and name.count("_") < _PIECES_MAX for name in names
        )
        every = [path for paths in self._paths.values() for path in paths]
        self._reader = PathReader(every, scalars=True)
        pieces = sorted({piece for name in names for piece in name.split("_")})
        edge = "|".join(pieces)
        odd = [rf'"\s*"\s*:|"{_SPACE}+(?:{edge})|(?:{edge}){_SPACE}+"']
        for name in names:
            odd += _odd_keys(name)
        self._odd = "|".join(dict.fromkeys(odd))

    def fields(self, lines: pl.Series) -> tuple[dict[str, pl.Series], Mask]:
        """Return the fields' values, and the rows where they are sure to be right.

        A sure row is sound JSON to its end.
        """
        found, sure = self._reader.values(lines)
        sure &= ~lines.str.contains(self._odd).to_numpy()
        columns = {}
        at = iter(found)
        for name, paths in self._paths.items():
            value, *others = (next(at) for _ in paths)
            for other in others:
                has = value.is_not_null()
                sure &= ~(has & other.is_not_null()).to_numpy()
                value = value.zip_with(has, other)
            columns[name] = value
        return columns, sure


def _paths_of(name: str) -> Iterator[Path]:
    """Yield the keys, from the outermost in, that may be joined to the name."""
    pieces = name.split("_")
    gaps = len(pieces) - 1
    for cut in range(2**gaps):
        keys = [pieces[0]]
        for gap, piece in enumerate(pieces[1:]):
            if cut >> gap & 1:
                keys.append(piece)
            else:
                keys[-1] += f"_{piece}"
        yield tuple(keys)


def _odd_keys(name: str) -> Iterator[str]:
    """Yield patterns of keys with other characters for some `_` of the name."""
    for left, right in pairwise(name.split("_")):
        yield f"{left}{_OTHER}{right}"
