"""IP addresses in texts: `ip("…")` of line filters and label filters."""

import re
from collections.abc import Callable
from ipaddress import ip_address

import numpy as np
import polars as pl

from loki_py.logql.exec.frame import Mask
from loki_py.logql.ips import IpRange, parse_ip_pattern
from loki_py.logql.stages.regex import Regex

_V4 = re.compile(r"[0-9.]+")
_V6 = re.compile(r"[0-9a-fA-F:.]+")
_MAYBE_V4 = Regex(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_MAYBE_V6 = Regex(r"::|[0-9a-fA-F]+:[0-9a-fA-F]+:[0-9a-fA-F]+:[0-9a-fA-F]+:")


def addresses_in(pattern: str) -> Callable[[pl.Series], Mask]:
    """Return the function from texts to whether one holds an address of the pattern."""
    wanted = parse_ip_pattern(pattern)
    maybe = _MAYBE_V4 if wanted.version == 4 else _MAYBE_V6

    def found_in(texts: pl.Series) -> Mask:
        found = maybe.found_in(texts)
        rows = np.flatnonzero(found)
        candidates = texts.gather(pl.Series(rows))
        known = {text: holds(text, wanted) for text in candidates.unique().to_list()}
        found[rows] = [known[text] for text in candidates.to_list()]
        return found

    return found_in


def holds(text: str, wanted: IpRange) -> bool:
    """Return whether some run of address characters in the text is wanted."""
    if wanted.version == 4:
        runs = (run for run in _V4.findall(text) if run.count(".") == 3)
    else:
        # Times of day are made of the same characters; they are no addresses.
        runs = (run for run in _V6.findall(text) if "::" in run or run.count(":") > 5)
    return any(_is_wanted(run, wanted) for run in runs)


def _is_wanted(run: str, wanted: IpRange) -> bool:
    try:
        return wanted.holds(ip_address(run))
    except ValueError:
        return False
