"""Parse columns of timestamp texts."""

import re
from collections.abc import Sequence

import numpy as np

from loki_py.model.batch import Timestamps

NOT_A_NUMBER = (
    "Value looks like Number/Boolean/None, but can't find its end: ',' or '}' symbol"
)
OUT_OF_RANGE = "Value is number, but overflowed while parsing"

_DIGITS = 19
_TEMPLATE = np.frombuffer(b"0" * _DIGITS + b",", np.uint8)
_WEIGHTS = np.array([10**16, 10**8, 1], np.uint64)
_TEN, _100, _10000 = np.uint64(10), np.uint64(100), np.uint64(10_000)
_8, _16, _32 = np.uint64(8), np.uint64(16), np.uint64(32)
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
    if len(joined) != len(_TEMPLATE) * count or not joined.isascii() or not count:
        return None
    cells = np.frombuffer(joined.encode(), np.uint8).reshape(count, len(_TEMPLATE))
    digits = cells ^ _TEMPLATE
    if digits.max() > 9 or digits[:, _DIGITS].max() > 0:
        return None
    padded = np.zeros((count, 24), np.uint8)
    padded[:, 24 - _DIGITS :] = digits[:, :_DIGITS]
    words = padded.view("<u8")
    words = (words * _TEN + (words >> _8)) & np.uint64(0x00FF00FF00FF00FF)
    words = (words * _100 + (words >> _16)) & np.uint64(0x0000FFFF0000FFFF)
    words = (words * _10000 + (words >> _32)) & np.uint64(0xFFFFFFFF)
    value = words @ _WEIGHTS
    return value.view(np.int64) if value.max() <= _INT64_MAX else None
