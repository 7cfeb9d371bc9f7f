"""Parse columns of timestamp texts."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from loki_py.model.batch import Timestamps

NOT_A_NUMBER = (
    "Value looks like Number/Boolean/None, but can't find its end: ',' or '}' symbol"
)
OUT_OF_RANGE = "Value is number, but overflowed while parsing"

_DIGITS = 19
_SHORT_NUMBERS = re.compile(r"(?:-?[0-9]{1,18},)*+")
_NUMBER = re.compile(r"-?[0-9]+")
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class NotTimestamp(ValueError):
    """A text is not a timestamp; the decoder that read it says where it stood."""


def parse_timestamps(texts: Sequence[str]) -> Timestamps:
    """Return the nanoseconds that decimal texts spell, int64.

    Raises: NotTimestamp with Loki's text where one is not an int64.
    """
    joined = ",".join(texts) + ","
    fast = _parse_of_19_digits(joined, len(texts))
    if fast is not None:
        return fast
    whole = joined.count(",") == len(texts)
    if whole and texts and _SHORT_NUMBERS.fullmatch(joined):
        return np.fromiter(map(int, texts), np.int64, len(texts))
    return np.fromiter(map(_parse_one, texts), np.int64, len(texts))


def _parse_one(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise NotTimestamp(NOT_A_NUMBER)
    if len(text) > 32 or not _INT64_MIN <= (number := int(text)) <= _INT64_MAX:
        raise NotTimestamp(OUT_OF_RANGE)
    return number


def _parse_of_19_digits(joined: str, count: int) -> Timestamps | None:
    """Return the numbers if each has exactly 19 digits and fits, else None.

    Eight digits are folded at once: pairs, then fours, then eights of digits
    are joined inside each 64-bit word.
    """
    if len(joined) != (_DIGITS + 1) * count or not joined.isascii() or not count:
        return None
    cells = np.frombuffer(joined.encode(), np.uint8).reshape(count, _DIGITS + 1)
    digits = cells[:, :_DIGITS]
    if not (cells[:, _DIGITS] == ord(",")).all() or (digits - 48 > 9).any():
        return None
    padded = np.full((count, 24), ord("0"), np.uint8)
    padded[:, 24 - _DIGITS :] = digits
    eights = _folded(padded.view("<u8"))
    value = eights[:, 0] * np.uint64(10**16)
    value += eights[:, 1] * np.uint64(10**8)
    value += eights[:, 2]
    return value.view(np.int64) if value.max() <= _INT64_MAX else None


def _folded(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return the number that the eight ASCII digits of each word spell."""
    words = words - np.uint64(0x3030303030303030)
    words = (words * np.uint64(10) + (words >> np.uint64(8))) & np.uint64(
        0x00FF00FF00FF00FF
    )
    words = (words * np.uint64(100) + (words >> np.uint64(16))) & np.uint64(
        0x0000FFFF0000FFFF
    )
    return (words * np.uint64(10000) + (words >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
