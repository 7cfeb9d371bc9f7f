"""Order entries by stream and time, and find exact duplicates.

File order is (fingerprint, canonical text, timestamp), entries of equal
timestamp in order of arrival. Two entries are one entry if their stream,
timestamp, line and metadata are equal.

Pure and vectorised: lines are compared only among rows that agree in stream,
timestamp and line length already.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.model.batch import EntryBatch, Rows, StreamIndex, Timestamps, concat
from loki_py.model.labels import LabelSet

_Ints = npt.NDArray[np.int64]

_KEY_BITS = 64
_NO_ROWS = np.zeros(0, dtype=np.int64)


def sort_and_deduplicate(batch: EntryBatch) -> tuple[EntryBatch, int]:
    """Return the batch in file order and how many duplicates were dropped.

    Of equal entries the first arrival stays. The result keeps `streams`; a
    batch that is in order already is returned as it is.
    """
    if len(batch) == 0:
        return batch, 0
    rank = stream_ranks(batch.streams, batch.stream)[batch.stream]
    order = _order_of(rank, batch.timestamp_ns)
    timestamp_ns = batch.timestamp_ns
    if order is not None:
        rank, timestamp_ns = rank[order], timestamp_ns[order]
    same = (rank[1:] == rank[:-1]) & (timestamp_ns[1:] == timestamp_ns[:-1])
    repeated = _later_equals(batch, order, same) if same.any() else _NO_ROWS
    if order is None and len(repeated) == 0:
        return batch, 0
    # One copy of the columns, whatever was found.
    rows = np.arange(len(batch)) if order is None else order
    return batch.take(np.delete(rows, repeated)), len(repeated)


def duplicate_rows(batches: Sequence[EntryBatch]) -> list[Rows]:
    """Return per batch the rows, ascending, that repeat an entry of an earlier batch.

    All batches share one `streams` object and have lines and all metadata.
    Rows that repeat only within their own batch are not reported.
    """
    counts = [len(batch) for batch in batches]
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    rows = _rows_of_shared_times(batches)
    if len(rows) == 0:
        return [rows for _ in batches]
    owner = np.searchsorted(starts, rows, side="right") - 1
    candidates = concat(
        [
            batch.take(rows[owner == position] - starts[position])
            for position, batch in enumerate(batches)
        ]
    )
    entry = _entry_ids(candidates, [candidates.stream, candidates.timestamp_ns])
    first = np.full(int(entry.max()) + 1, len(batches), dtype=np.int64)
    np.minimum.at(first, entry, owner)
    repeats = owner > first[entry]
    return [
        rows[repeats & (owner == position)] - starts[position]
        for position in range(len(batches))
    ]


def stream_ranks(streams: Sequence[LabelSet], stream: StreamIndex) -> StreamIndex:
    """Return, by position in `streams`, where the stream comes in file order.

    Equal label sets get equal ranks. Only streams that occur in `stream` are
    looked at; the others' ranks mean nothing.
    """
    used = np.flatnonzero(np.bincount(stream, minlength=len(streams))).tolist()
    used.sort(key=lambda position: file_order_of(streams[position]))
    ranks = np.zeros(len(streams), dtype=np.uint32)
    rank, before = -1, None
    for position in used:
        labels = streams[position]
        rank += labels != before
        ranks[position] = rank
        before = labels
    return ranks


def file_order_of(labels: LabelSet) -> tuple[int, str]:
    """Return what label sets are sorted by in every file."""
    return labels.fingerprint, labels.text


def _order_of(rank: StreamIndex, timestamp_ns: Timestamps) -> Rows | None:
    """Return the stable order by (rank, timestamp), None where it is that already."""
    span_bits = (int(timestamp_ns.max()) - int(timestamp_ns.min())).bit_length()
    if int(rank.max()).bit_length() + span_bits > _KEY_BITS:
        return np.lexsort((timestamp_ns, rank))
    key = _packed([rank, timestamp_ns])
    if (key[1:] >= key[:-1]).all():
        return None
    return np.argsort(key, kind="stable")


def _later_equals(
    batch: EntryBatch, order: Rows | None, same: npt.NDArray[np.bool_]
) -> Rows:
    """Return the places in the order whose row equals an earlier one of its group.

    Args:
        order: the rows of the batch in file order; None where they are in it.
        same: bool[n - 1], whether place i + 1 is in the group of place i.
    """
    group = np.concatenate(([0], np.cumsum(~same)))
    tied = np.concatenate((same, [False]))
    tied[1:] |= same
    places = np.flatnonzero(tied)
    rows = places if order is None else order[places]
    length = batch.line_bytes()[rows]
    alike = _in_shared_values(_group_ids([group[places], length]))
    places, rows = places[alike], rows[alike]
    if len(places) == 0:
        return places
    entry = _entry_ids(batch.take(rows), [group[places]])
    _, firsts = np.unique(entry, return_index=True)
    return np.delete(places, firsts)


def _rows_of_shared_times(batches: Sequence[EntryBatch]) -> Rows:
    """Return rows, counted through all batches, whose key another batch has too.

    The key of a row is its stream, timestamp and line length.
    """
    if sum(map(len, batches)) == 0:
        return np.zeros(0, dtype=np.int64)
    owner = np.repeat(np.arange(len(batches)), [len(batch) for batch in batches])
    timestamp_ns = np.concatenate([batch.timestamp_ns for batch in batches])
    stream = np.concatenate([batch.stream for batch in batches])
    length = np.concatenate([batch.line_bytes() for batch in batches])
    key = _packed([stream, timestamp_ns, length])
    return np.flatnonzero(_in_several_batches(key, owner))


def _in_several_batches(
    key: npt.NDArray[np.uint64], owner: _Ints
) -> npt.NDArray[np.bool_]:
    order = np.argsort(key)
    starts = _group_starts(key[order])
    owners = owner[order]
    mixed = np.minimum.reduceat(owners, starts) != np.maximum.reduceat(owners, starts)
    several = np.empty(len(key), dtype=np.bool_)
    several[order] = np.repeat(mixed, np.diff(np.append(starts, len(key))))
    return several


def _in_shared_values(values: _Ints) -> npt.NDArray[np.bool_]:
    return (np.bincount(values) > 1)[values]


def _entry_ids(batch: EntryBatch, keys: Sequence[npt.NDArray[np.integer]]) -> _Ints:
    """Return int64[n], equal exactly for rows with equal keys and equal content."""
    columns = [*keys, _text_ids(batch.line)]
    columns += [_text_ids(values) for values in batch.metadata.values()]
    if batch.metadata_rest is not None:
        columns.append(_rest_ids(batch.metadata_rest))
    return _group_ids(columns)


def _text_ids(values: "pa.Array") -> _Ints:
    codes = pc.dictionary_encode(values).indices.fill_null(-1)
    ids: _Ints = codes.to_numpy(zero_copy_only=False).astype(np.int64)
    return ids


def _rest_ids(rest: "pa.MapArray") -> _Ints:
    # Python per row is fine here: only rows that agree in everything else, of
    # tenants with more names than columns, come this far.
    seen: dict[object, int] = {}
    pairs = rest.to_pylist()
    return np.array(
        [
            seen.setdefault(None if not row else tuple(sorted(row)), len(seen))
            for row in pairs
        ],
        dtype=np.int64,
    )


def _group_ids(columns: Sequence[npt.NDArray[np.integer]]) -> _Ints:
    """Return int64[n] below n, equal exactly for rows that agree in every column."""
    return _dense_ids(_packed(columns))


def _packed(columns: Sequence[npt.NDArray[np.integer]]) -> npt.NDArray[np.uint64]:
    """Return uint64[n], equal exactly for rows that agree in every column.

    Columns are laid side by side in the bits of one number while they fit;
    where they do not, what is there is renumbered first.
    """
    packed = np.zeros(len(columns[0]), dtype=np.uint64)
    bits_used = 0
    for column in columns:
        lowest = int(column.min())
        bits = (int(column.max()) - lowest).bit_length()
        codes = column.astype(np.uint64) - np.uint64(lowest % 2**_KEY_BITS)
        if bits_used + bits > _KEY_BITS:
            packed = _dense_ids(packed).astype(np.uint64)
            bits_used = int(packed.max()).bit_length()
        if bits_used + bits > _KEY_BITS:
            codes = _dense_ids(codes).astype(np.uint64)
            bits = int(codes.max()).bit_length()
        packed = codes if bits_used == 0 else packed << np.uint64(bits) | codes
        bits_used += bits
    return packed


def _dense_ids(keys: npt.NDArray[np.uint64]) -> _Ints:
    order = np.argsort(keys)
    starts = _group_starts(keys[order])
    ids = np.empty(len(keys), dtype=np.int64)
    ids[order] = np.repeat(
        np.arange(len(starts)), np.diff(np.append(starts, len(keys)))
    )
    return ids


def _group_starts(keys: npt.NDArray[np.integer]) -> _Ints:
    """Return where each run of equal keys starts; needs one key or more."""
    changes = keys[1:] != keys[:-1]
    return np.flatnonzero(np.concatenate(([True], changes))).astype(np.int64)
