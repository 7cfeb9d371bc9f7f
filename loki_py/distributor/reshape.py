"""Changes that a push undergoes before it is stored: lines, times, names."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.config.limits import Limits
from loki_py.errors import ValidationFailed
from loki_py.model.batch import EntryBatch, null_mask_of, offsets_of
from loki_py.wire.text import texts_of_spans

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_BAD_IN_NAME = "[^a-zA-Z0-9_]"
_LEADING_DIGIT = "^([0-9])"


def with_lines_cut(batch: EntryBatch, limits: Limits) -> tuple[EntryBatch, int]:
    """Return the batch with over-long lines cut to the limit, and their number.

    What is cut ends in the tenant's identifier; the whole fits the limit.
    """
    bytes_max = limits.line_bytes_max
    if not (limits.truncate_lines and bytes_max and len(batch)):
        return batch, 0
    sizes = batch.line_bytes()
    long = sizes > bytes_max
    if not long.any():
        return batch, 0
    identifier = limits.truncate_identifier
    kept_bytes = max(bytes_max - len(identifier.encode()), 0)
    assert batch.line is not None
    start = offsets_of(batch.line)[:-1]
    # Cutting may leave part of a character; its bytes become spaces.
    cut = texts_of_spans(
        batch.line.buffers()[2], start, start + np.where(long, kept_bytes, sizes)
    )
    marked = pc.binary_join_element_wise(
        cut, pa.scalar(identifier, pa.large_string()), pa.scalar("", pa.large_string())
    )
    line = pc.if_else(pa.array(long), marked, cut)
    return replace(batch, line=line), int(long.sum())


def with_times_apart(batch: EntryBatch) -> EntryBatch:
    """Return the batch with a nanosecond between entries of equal time.

    Of each stream, an entry that has the time of the one before it and another
    line is moved one nanosecond behind it.
    """
    if len(batch) < 2:
        return batch
    order = np.argsort(batch.stream, kind="stable")
    stamps, streams = batch.timestamp_ns[order], batch.stream[order]
    line = batch.line.take(pa.array(order)) if batch.line is not None else None
    assert line is not None
    repeats = (np.diff(stamps) == 0) & (streams[1:] == streams[:-1])
    if not repeats.any():
        return batch
    differs = pc.not_equal(line[1:], line[:-1]).to_numpy(zero_copy_only=False)
    steps = np.r_[0, np.cumsum(repeats & differs)]
    run_start = np.r_[True, ~repeats]
    steps -= steps[run_start][np.cumsum(run_start) - 1]
    moved = np.empty_like(stamps)
    moved[order] = stamps + steps
    return replace(batch, timestamp_ns=moved)


def with_plain_names(batch: EntryBatch) -> EntryBatch:
    """Return the batch with structured-metadata names that are label names.

    Where two names become one, the first that an entry has counts.

    Raises: ValidationFailed where a name is empty.
    """
    if batch.metadata_rest is None and all(map(_NAME.fullmatch, batch.metadata)):
        return batch
    columns: dict[str, pa.LargeStringArray] = {}
    for name, values in batch.metadata.items():
        plain = plain_name(name)
        columns[plain] = (
            pc.coalesce(columns[plain], values) if plain in columns else values
        )
    return replace(batch, metadata=columns, metadata_rest=_plain_rest(batch))


def plain_name(name: str) -> str:
    """Return the name as a label name: other characters become `_`.

    Raises: ValidationFailed where the name is empty.
    """
    if not name:
        raise ValidationFailed("label name is empty")
    plain = re.sub(_BAD_IN_NAME, "_", name)
    return f"key_{plain}" if plain[0].isdigit() else plain


def _plain_rest(batch: EntryBatch) -> "pa.MapArray | None":
    rest = batch.metadata_rest
    if rest is None:
        return None
    if pc.any(pc.equal(rest.keys, "")).as_py():
        raise ValidationFailed("label name is empty")
    names = pc.replace_substring_regex(rest.keys, _BAD_IN_NAME, "_")
    names = pc.replace_substring_regex(names, _LEADING_DIGIT, r"key_\1")
    mask = pa.array(null_mask_of(rest)) if rest.null_count else None
    return pa.MapArray.from_arrays(rest.offsets, names, rest.items, mask=mask)
