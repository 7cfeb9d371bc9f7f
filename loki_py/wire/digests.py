"""A number for each entry, equal for the copies of one entry.

Replicas are compared by it: 8 bytes and a timestamp instead of a line. The
number covers stream, time, line and metadata; two entries of one stream and time
that differ have equal numbers with a chance of 1 in 2^64.

The same entry has the same number in every process whose `KIND` is the same.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from loki_py.model.batch import EntryBatch, Timestamps

KIND = f"2-polars-{pl.__version__}"
"""How numbers are made: the hash function is polars', which may change it."""

_Keys = npt.NDArray[np.uint64]
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Digests:
    """The entries of a unit, by number.

    Attributes:
        keys: u64[n].
        timestamp_ns: i64[n].
    """

    keys: _Keys
    timestamp_ns: Timestamps

    def __len__(self) -> int:
        return len(self.keys)

    def by_key(self) -> "Digests":
        """Return the same in the order of the keys."""
        order = np.argsort(self.keys, kind="stable")
        return Digests(self.keys[order], self.timestamp_ns[order])

    def held_in(self, others: "Digests") -> npt.NDArray[np.bool_]:
        """Return bool[n], whether the others, by key, have each entry too."""
        if not len(others):
            return np.zeros(len(self), np.bool_)
        at = np.searchsorted(others.keys, self.keys)
        at = np.minimum(at, len(others) - 1)
        held: npt.NDArray[np.bool_] = (others.keys[at] == self.keys) & (
            others.timestamp_ns[at] == self.timestamp_ns
        )
        return held


def digests_of(batch: EntryBatch) -> Digests:
    """Return the numbers of the batch's entries; it must have all its columns."""
    return Digests(keys_of(batch), batch.timestamp_ns)


def keys_of(batch: EntryBatch) -> _Keys:
    """Return u64[n]: the number of each entry."""
    if not len(batch):
        return np.zeros(0, np.uint64)
    used = np.unique(batch.stream)
    streams = np.zeros(int(used[-1]) + 1, np.uint64)
    streams[used] = [batch.streams[n].fingerprint for n in used.tolist()]
    return _numbers_of(batch, streams[batch.stream] * _SPREAD)


def keys_in_stream(batch: EntryBatch) -> _Keys:
    """Return u64[n]: a number of each entry that says nothing of its stream.

    The sum of some tells about them what one tells about an entry.
    """
    if not len(batch):
        return np.zeros(0, np.uint64)
    keys = _numbers_of(batch, np.zeros(len(batch), np.uint64))
    return (keys ^ keys >> _HALF) * _SPREAD


def _numbers_of(batch: EntryBatch, keys: _Keys) -> _Keys:
    keys = (keys ^ batch.timestamp_ns.view(np.uint64)) * _SPREAD
    keys ^= _hashes(pl.Series(pl.from_arrow(batch.line)))
    pairs = _pairs_of(batch)
    return keys if pairs is None else np.where(pairs, keys * _SPREAD ^ pairs, keys)


def _pairs_of(batch: EntryBatch) -> "_Keys | None":
    """Return u64[n]: a number of each entry's metadata, 0 for none; None for no name.

    A sum over names and values, so that neither their order counts nor which of
    the names have columns and which are in the map.
    """
    if not batch.metadata and batch.metadata_rest is None:
        return None
    total = np.zeros(len(batch), np.uint64)
    for name, column in batch.metadata.items():
        values = pl.Series(pl.from_arrow(column))
        found = _mixed(_hashes(pl.Series([name])), _hashes(values))
        if column.null_count:
            found *= values.is_not_null().to_numpy()
        total += found
    rest = batch.metadata_rest
    if rest is not None and len(rest):
        offsets = np.asarray(rest.offsets)
        own = slice(int(offsets[0]), int(offsets[-1]))
        names = pl.Series(pl.from_arrow(rest.keys[own]))
        values = pl.Series(pl.from_arrow(rest.items[own]))
        sums = np.zeros(len(names) + 1, np.uint64)
        np.cumsum(_mixed(_hashes(names), _hashes(values)), out=sums[1:])
        ends = offsets - offsets[0]
        total += sums[ends[1:]] - sums[ends[:-1]]
    return total


def _mixed(names: _Keys, values: _Keys) -> _Keys:
    """Return a number for each name and value of which sums say who is in them."""
    found = (names * _SPREAD ^ values) * _SPREAD
    found = (found ^ found >> _HALF) * _SPREAD
    mixed: _Keys = found ^ found >> _HALF
    return mixed


def _hashes(values: pl.Series) -> _Keys:
    found: _Keys = values.hash().to_numpy()
    return found
