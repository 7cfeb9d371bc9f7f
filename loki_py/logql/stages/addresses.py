"""IP addresses in texts: `ip("…")` of line filters and label filters."""

import re
from collections.abc import Callable
from ipaddress import ip_address

import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Mask
from loki_py.logql.ips import IpRange, parse_ip_pattern
from loki_py.logql.stages.line_spans import LineSpans
from loki_py.logql.stages.regex import Regex
from loki_py.model.batch import Rows
from loki_py.model.words import MASKS, WORD_BYTES, Bytes, Words

_V6 = re.compile(r"[0-9a-fA-F:.]+")
_MAYBE_V6 = Regex(r"::|[0-9a-fA-F]+:[0-9a-fA-F]+:[0-9a-fA-F]+:[0-9a-fA-F]+:")
_DOT, _SLASH, _ZERO, _NINE = b"./09"
_V4_CHARS_MIN, _V4_CHARS_MAX = 7, 15
_DOTS, _SEVENS, _HIGHEST = (
    np.uint64(byte * 0x0101010101010101) for byte in (_DOT, 0x7F, 0x80)
)
_OCTET_MAX, _V4_OCTETS = 255, 4


def addresses_in(pattern: str) -> Callable[[pl.Series], Mask]:
    """Return the function from texts to whether one holds an address of the pattern."""
    wanted = parse_ip_pattern(pattern)
    if wanted.version == _V4_OCTETS:
        return lambda texts: _v4_in(texts, wanted)

    def found_in(texts: pl.Series) -> Mask:
        found = _MAYBE_V6.found_in(texts)
        rows = np.flatnonzero(found)
        candidates = texts.gather(pl.Series(rows))
        known = {text: holds(text, wanted) for text in candidates.unique().to_list()}
        found[rows] = [known[text] for text in candidates.to_list()]
        return found

    return found_in


def _v4_in(texts: pl.Series, wanted: IpRange) -> Mask:
    """Return where a run of digits and dots is a wanted address."""
    found = np.zeros(len(texts), np.bool_)
    spans = LineSpans.of(texts.fill_null(""))
    if (spans.start[1:] < spans.end[:-1]).any():
        spans = LineSpans.copied(texts.fill_null(""))
    start, end = _runs(spans)
    row = np.searchsorted(spans.start, start, side="right") - 1
    inside = (row >= 0) & (start < spans.end[row])
    row, start, end = row[inside], start[inside], end[inside]
    address, valid = _v4_numbers(spans.raw, start, end)
    hit = valid & (address >= wanted.first) & (address <= wanted.last)
    found[row[hit]] = True
    return found


def _runs(spans: LineSpans) -> tuple[Rows, Rows]:
    """Return the runs of digits and dots that are as long as addresses.

    No run reaches from one text into the next.
    """
    raw = spans.raw
    is_part = (raw - np.uint8(_DOT) <= _NINE - _DOT) & (raw != _SLASH)
    is_edge = np.zeros(len(raw) + 1, np.bool_)
    is_edge[spans.start] = True
    is_edge[spans.end] = True
    begins, ends = is_part.copy(), is_part.copy()
    begins[1:] &= ~is_part[:-1] | is_edge[1:-1]
    ends[:-1] &= ~is_part[1:] | is_edge[1:-1]
    start, end = np.flatnonzero(begins), np.flatnonzero(ends) + 1
    fits = (end - start >= _V4_CHARS_MIN) & (end - start <= _V4_CHARS_MAX)
    start, end = start[fits], end[fits]
    fits = _dots(spans.words, start, end - start) == _V4_OCTETS - 1
    return start[fits], end[fits]


def _dots(words: Words, start: Rows, length: Rows) -> Rows:
    """Return how many dots are in runs of digits and dots."""
    count = np.zeros(len(start), np.int64)
    for behind in (0, WORD_BYTES):
        size = np.clip(length - behind, 0, WORD_BYTES)
        word = words[np.minimum(start + behind, len(words) - 1)] ^ _DOTS
        # A byte that is no dot is no zero now, and carries into its highest bit.
        others = np.bitwise_count((word + _SEVENS) & _HIGHEST & MASKS[size])
        count += size - others
    return count


def _v4_numbers(raw: Bytes, start: Rows, end: Rows) -> tuple[Rows, Mask]:
    """Return runs as numbers, and which of them are four octets and three dots."""
    address = np.zeros(len(start), np.int64)
    octet, digits = np.zeros_like(address), np.zeros_like(address)
    dots = np.zeros_like(address)
    valid = np.ones(len(start), np.bool_)
    for place in range(_V4_CHARS_MAX + 1):
        at = start + place
        byte = raw[np.minimum(at, len(raw) - 1)].astype(np.int64)
        is_dot = ((byte == _DOT) & (at < end)) | (at == end)
        is_digit = ~is_dot & (at < end)
        # A zero may not lead.
        valid &= ~(is_digit & (digits > 0) & (octet == 0))
        octet = np.where(is_digit, octet * 10 + byte - _ZERO, octet)
        digits += is_digit
        valid &= ~(is_dot & ((digits == 0) | (octet > _OCTET_MAX)))
        address = np.where(is_dot, address << 8 | octet & _OCTET_MAX, address)
        dots += is_dot
        octet, digits = np.where(is_dot, 0, octet), np.where(is_dot, 0, digits)
    return address, valid & (dots == _V4_OCTETS)


def holds(text: str, wanted: IpRange) -> bool:
    """Return whether some run of characters of IPv6 addresses is a wanted one."""
    # Times of day are made of the same characters; they are no addresses.
    runs = (run for run in _V6.findall(text) if "::" in run or run.count(":") > 5)
    return any(_is_wanted(run, wanted) for run in runs)


def _is_wanted(run: str, wanted: IpRange) -> bool:
    try:
        return wanted.holds(ip_address(run))
    except ValueError:
        return False
