"""Which entries of a push an ingester takes: stream count, rate, and window.

Pure: decides on columns, changes only the stream table that it is given.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from loki_py.config.limits import Limits
from loki_py.errors import LokiError
from loki_py.ingester import rejections
from loki_py.ingester.stream_table import NEVER_NS, Refs, StreamTable
from loki_py.model.batch import EntryBatch, Timestamps
from loki_py.transport.abc import Discard

_NS = 1e9

Tokens = npt.NDArray[np.float64]


@dataclass(slots=True)
class Admission:
    """What a push comes to.

    Attributes:
        accepted: the accepted rows, `stream` holding refs; None where none is.
        new_refs: streams that this push created.
        rejected: position in the push's streams to the error of its entries.
        discards: what was refused, by stream and reason.
    """

    accepted: EntryBatch | None
    new_refs: list[int]
    rejected: dict[int, LokiError] = field(default_factory=dict)
    discards: list[Discard] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """The bounds that hold for one push.

    Attributes:
        streams_max: active streams of the tenant; 0 is no bound.
        window_ns: how far behind its stream's newest an entry may be; 0 is no bound.
        stream_idle_ns: a stream without appends for longer is not active.
        limits: the tenant's limits, for the per-stream rate.
    """

    streams_max: int
    window_ns: int
    stream_idle_ns: int
    limits: Limits


class _Push:
    """One push on its way through the checks."""

    def __init__(self, tenant: str, batch: EntryBatch, table: StreamTable) -> None:
        self.tenant = tenant
        self.batch = batch
        self.table = table
        self.ref_of_stream = np.zeros(len(batch.streams), np.uint32)
        self.keep: npt.NDArray[np.bool_] | None = None
        self.result = Admission(None, [])

    def refuse_rows(
        self,
        rows: npt.NDArray[np.bool_],
        reason: str,
        error_of: Callable[[int, npt.NDArray[np.int64]], LokiError],
    ) -> None:
        """Drop rows for a reason; `error_of(stream, its rows)` makes the errors."""
        self.keep = ~rows if self.keep is None else self.keep & ~rows
        refused = np.flatnonzero(rows)
        part = self.batch.take(refused)
        sizes = part.line_bytes() + part.metadata_bytes()
        streams = self.batch.stream[refused]
        for stream in np.unique(streams).tolist():
            own = streams == stream
            size, count = int(sizes[own].sum()), int(own.sum())
            self.result.discards.append(Discard(reason, count, size, stream))
            error = error_of(stream, refused[own])
            self.result.rejected.setdefault(stream, error)


def admit(
    tenant: str,
    batch: EntryBatch,
    table: StreamTable,
    rules: AdmissionRules,
    *,
    now_ns: int,
) -> Admission:
    """Decide which rows of a push are taken, and create the streams they need.

    A label set may stand in several places of the push, whose entries come after
    one another: they are one stream, and each place is answered for itself.
    """
    push = _Push(tenant, batch, table)
    _resolve_streams(push, rules, now_ns=now_ns)
    if rules.limits.stream_rate_bytes:
        _check_rates(push, rules.limits, now_ns=now_ns)
    if rules.window_ns:
        _check_window(push, rules.window_ns)
    kept = batch if push.keep is None else batch.filter(push.keep)
    if len(kept):
        refs = push.ref_of_stream[kept.stream]
        push.result.accepted = EntryBatch(
            (), refs, kept.timestamp_ns, kept.line, kept.metadata, kept.metadata_rest
        )
    return push.result


def _resolve_streams(push: _Push, rules: AdmissionRules, *, now_ns: int) -> None:
    """Fill `ref_of_stream`, creating streams up to the tenant's bound."""
    table = push.table
    streams = push.batch.streams
    refs = table.find_all(streams)
    over: list[int] = []
    if None in refs:
        room = _room_for_streams(table, rules, now_ns=now_ns)
        for position, ref in enumerate(refs):
            known = table.find(streams[position]) if ref is None else ref
            if known is not None:
                refs[position] = known
                continue
            if len(push.result.new_refs) >= room:
                refs[position] = 0
                over.append(position)
                continue
            new_ref = table.add(streams[position], now_ns=now_ns)
            refs[position] = new_ref
            push.result.new_refs.append(new_ref)
    push.ref_of_stream = np.array(refs, np.uint32)
    if over:
        is_over = np.zeros(len(push.batch.streams), np.bool_)
        is_over[over] = True
        push.refuse_rows(
            is_over[push.batch.stream],
            rejections.STREAM_LIMIT,
            lambda stream, _: rejections.stream_limit_reached(
                push.tenant, push.batch.streams[stream]
            ),
        )


def _room_for_streams(
    table: StreamTable, rules: AdmissionRules, *, now_ns: int
) -> float:
    """Return how many streams may be created."""
    if not rules.streams_max:
        return math.inf
    active = table.active_count(appended_since_ns=now_ns - rules.stream_idle_ns)
    return rules.streams_max - active


def _check_rates(push: _Push, limits: Limits, *, now_ns: int) -> None:
    """Take each stream's bytes from its bucket; all of its entries or none pass."""
    batch, table = push.batch, push.table
    sizes = batch.line_bytes() + batch.metadata_bytes()
    wanted: Tokens = np.bincount(
        batch.stream, weights=sizes, minlength=len(batch.streams)
    ).astype(np.float64)
    present = wanted > 0
    if push.keep is not None:
        refused = np.unique(batch.stream[~push.keep])
        present[refused] = False
    streams = np.flatnonzero(present)
    refs = push.ref_of_stream[streams]
    elapsed = (now_ns - table.refilled_ns[refs]) / _NS
    filled: Tokens = table.tokens[refs] + elapsed * limits.stream_rate_bytes
    filled = np.minimum(filled, float(limits.stream_burst_bytes))
    passes = _spend(table.tokens, refs, filled, wanted[streams])
    table.refilled_ns[refs] = now_ns
    if passes.all():
        return
    is_over = np.zeros(len(batch.streams), np.bool_)
    is_over[streams[~passes]] = True

    def error_of(stream: int, rows: npt.NDArray[np.int64]) -> LokiError:
        reasons = [
            (
                int(batch.timestamp_ns[row]),
                rejections.per_stream_rate(
                    batch.streams[stream],
                    limit_bytes=limits.stream_rate_bytes,
                    entry_bytes=int(sizes[row]),
                ),
            )
            for row in rows[: rejections.RETURNED_ERRORS_MAX].tolist()
        ]
        return rejections.entries_refused(
            push.tenant,
            batch.streams[stream],
            reasons,
            entries_count=len(rows),
            refused_count=len(rows),
            rate_limited=True,
        )

    push.refuse_rows(is_over[batch.stream], rejections.PER_STREAM_RATE_LIMIT, error_of)


def _spend(
    tokens: Tokens, refs: Refs, filled: Tokens, wanted: Tokens
) -> npt.NDArray[np.bool_]:
    """Take what is wanted out of buckets of `filled` bytes; return who got it."""
    order = np.argsort(refs, kind="stable")
    ordered = refs[order]
    is_first = np.ones(len(refs), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    starts = is_first.nonzero()[0]
    distinct, filled_once = ordered[starts], filled[order[starts]]
    left = filled_once - np.add.reduceat(wanted[order], starts)
    if left.min() >= 0:
        tokens[distinct] = left
        return np.ones(len(refs), np.bool_)
    return _spend_in_turn(tokens, refs, filled, wanted)


def _spend_in_turn(
    tokens: Tokens, refs: Refs, filled: Tokens, wanted: Tokens
) -> npt.NDArray[np.bool_]:
    """Grant or refuse each what the ones before it left."""
    passes = np.zeros(len(refs), np.bool_)
    left = dict(zip(refs.tolist(), filled.tolist(), strict=True))
    for position, (ref, size) in enumerate(
        zip(refs.tolist(), wanted.tolist(), strict=True)
    ):
        if size <= left[ref]:
            passes[position] = True
            left[ref] -= size
    tokens[list(left)] = list(left.values())
    return passes


def _check_window(push: _Push, window_ns: int) -> None:
    """Refuse entries too far behind the newest that their stream had before them."""
    batch = push.batch
    refs: Refs = push.ref_of_stream[batch.stream]
    newest_ns = push.table.newest_ns[refs]
    batch_newest_ns = int(batch.timestamp_ns.max())
    batch_oldest_ns = int(batch.timestamp_ns.min())
    if batch_oldest_ns >= max(batch_newest_ns, int(newest_ns.max())) - window_ns:
        return
    # Entries of streams that were refused have no ref of their own.
    rows = slice(None) if push.keep is None else np.flatnonzero(push.keep)
    floor_ns = np.full(len(batch), NEVER_NS)
    floor_ns[rows] = -window_ns + _newest_before(
        refs[rows], batch.timestamp_ns[rows], newest_ns[rows]
    )
    behind = batch.timestamp_ns < floor_ns
    if not behind.any():
        return
    entries_count = np.bincount(batch.stream, minlength=len(batch.streams))

    def error_of(stream: int, rows: npt.NDArray[np.int64]) -> LokiError:
        reasons = [
            (
                int(batch.timestamp_ns[row]),
                rejections.too_far_behind(
                    int(batch.timestamp_ns[row]), int(floor_ns[row])
                ),
            )
            for row in rows[: rejections.RETURNED_ERRORS_MAX].tolist()
        ]
        return rejections.entries_refused(
            push.tenant,
            batch.streams[stream],
            reasons,
            entries_count=int(entries_count[stream]),
            refused_count=len(rows),
            rate_limited=False,
        )

    push.refuse_rows(behind, rejections.TOO_FAR_BEHIND, error_of)


def _newest_before(
    refs: Refs, timestamp_ns: Timestamps, newest_ns: Timestamps
) -> Timestamps:
    """Return per row the newest time of its stream, earlier rows included.

    A refused entry is never the newest of its stream, so counting it changes
    nothing. The result is at least NEVER_NS + the widest window, so that the
    caller may subtract one without wrapping.
    """
    order = np.argsort(refs, kind="stable")
    ordered = refs[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    result = np.empty(len(refs), np.int64)
    bounds = [*starts.tolist(), len(order)]
    for start, end in pairwise(bounds):
        rows = order[start:end]
        newest = np.maximum.accumulate(timestamp_ns[rows])
        result[rows] = np.maximum(newest, newest_ns[rows])
    return np.maximum(result, NEVER_NS // 2)
