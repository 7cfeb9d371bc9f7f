"""Which entries of a push are accepted, and why the others are not.

Pure: the service supplies limits and clock. Rules are checked in Loki's order;
an entry is refused for the first that it breaks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from loki_py.config.limits import Limits
from loki_py.config.units import print_time
from loki_py.distributor import refusals
from loki_py.distributor.refusals import Refusals
from loki_py.distributor.streams import EVERY_POLICY, ResolvedStream
from loki_py.model.batch import EntryBatch, Rows, null_mask_of, offsets_of

Mask = npt.NDArray[np.bool_]
DETECTED_LEVEL = "detected_level"

_NS_PER_S = 1_000_000_000
_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What validation made of a push.

    Attributes:
        batch: the accepted entries, under the label sets as they are stored; one
            that the push has in several places has them here too.
        streams: what is known of each of the batch's label sets.
        refusals: what was refused.
    """

    batch: EntryBatch
    streams: Sequence[ResolvedStream]
    refusals: Refusals


def validated(
    tenant: str,
    batch: EntryBatch,
    streams: Sequence[ResolvedStream],
    *,
    limits: Limits,
    now_ns: int,
) -> Verdict:
    """Return the entries of a push that keep every rule, and the refusals."""
    check = _Check(batch, streams, limits)
    if len(batch):
        check.streams(tenant, now_ns=now_ns)
        check.timestamps(now_ns=now_ns)
        check.lines()
        check.metadata()
    accepted = EntryBatch(
        [s.labels for s in streams],
        batch.stream,
        batch.timestamp_ns,
        batch.line,
        batch.metadata,
        batch.metadata_rest,
    )
    if check.refused is not None:
        accepted = accepted.filter(~check.refused)
    return Verdict(*_covered(accepted, streams), check.refusals)


def _covered(
    batch: EntryBatch, streams: Sequence[ResolvedStream]
) -> tuple[EntryBatch, Sequence[ResolvedStream]]:
    """Return batch and streams without label sets that no row refers to.

    An ingester must not hear of a label set that was refused.
    """
    has_rows = np.bincount(batch.stream, minlength=len(streams)) > 0
    if has_rows.all():
        return batch, streams
    kept = [streams[index] for index in np.flatnonzero(has_rows).tolist()]
    stream = (np.cumsum(has_rows) - 1).astype(np.uint32)[batch.stream]
    return replace(batch, streams=[s.labels for s in kept], stream=stream), kept


class _Check:
    """One pass over a batch; rules add to what is refused."""

    def __init__(
        self, batch: EntryBatch, streams: Sequence[ResolvedStream], limits: Limits
    ) -> None:
        self._batch = batch
        self._streams = streams
        self._limits = limits
        self.refusals = Refusals()
        self.refused: Mask | None = None

    def streams(self, tenant: str, *, now_ns: int) -> None:
        """Refuse streams for their labels, missing labels, or blocked policy."""
        if not self._any_stream_rule():
            return
        counts = np.bincount(self._batch.stream, minlength=len(self._streams))
        faulty: dict[str, Mask] = {}
        for index in np.flatnonzero(counts).tolist():
            found = self._stream_fault(tenant, self._streams[index], now_ns=now_ns)
            if found is not None:
                reason, message, status = found
                self.refusals.say(message, status=status)
                mask = faulty.setdefault(reason, np.zeros(len(counts), np.bool_))
                mask[index] = True
        for reason, mask in faulty.items():
            self._refuse(reason, mask[self._batch.stream])

    def _any_stream_rule(self) -> bool:
        return bool(self._limits.block_ingestion_policy_until_ns) or any(
            map(attrgetter("suspect"), self._streams)
        )

    def _stream_fault(
        self, tenant: str, stream: ResolvedStream, *, now_ns: int
    ) -> tuple[str, str, int] | None:
        if stream.fault is not None:
            return *stream.fault, 400
        policy = stream.policy
        if stream.missing:
            message = (
                f"missing required labels '{','.join(stream.missing)}' for user "
                f"'{tenant}' for stream '{refusals.shown(stream.labels.text)}' "
                f"(policy: '{policy}')"
            )
            return refusals.MISSING_ENFORCED_LABELS, message, 400
        blocked = self._limits.block_ingestion_policy_until_ns
        until_ns = blocked.get(policy, blocked.get(EVERY_POLICY, 0))
        if now_ns >= until_ns:
            return None
        status = self._limits.block_ingestion_status_code
        message = refusals.blocked(
            tenant, policy=policy, until=print_time(until_ns), status=status
        )
        return refusals.BLOCKED_POLICY, message, status

    def timestamps(self, *, now_ns: int) -> None:
        """Refuse entries that are too old or too new."""
        stamps = self._batch.timestamp_ns
        oldest_ns = now_ns - self._limits.sample_age_ns_max
        if self._limits.reject_old_samples and stamps.min() < oldest_ns:
            suffix = f", oldest acceptable timestamp is: {print_time(oldest_ns)}"
            self._refuse_entries(
                refusals.TOO_OLD,
                stamps < oldest_ns,
                stamps // _NS_PER_S,
                lambda labels, second: (
                    f"entry for stream '{labels}' has timestamp too old: "
                    f"{print_time(second * _NS_PER_S)}{suffix}"
                ),
            )
        newest_ns = min(now_ns + self._limits.creation_grace_ns, _INT64_MAX)
        if stamps.max() > newest_ns:
            self._refuse_entries(
                refusals.TOO_NEW,
                stamps > newest_ns,
                stamps // _NS_PER_S,
                lambda labels, second: (
                    f"entry for stream '{labels}' has timestamp too new: "
                    f"{print_time(second * _NS_PER_S)}"
                ),
            )

    def lines(self) -> None:
        """Refuse lines that are too long."""
        bytes_max = self._limits.line_bytes_max
        if not bytes_max or line_bytes_of(self._batch) <= bytes_max:
            return
        sizes = self._batch.line_bytes()
        if sizes.max() > bytes_max:
            self._refuse_entries(
                refusals.LINE_TOO_LONG,
                sizes > bytes_max,
                sizes,
                lambda labels, size: refusals.line_too_long(
                    labels, size, bytes_max=bytes_max
                ),
            )

    def metadata(self) -> None:
        """Refuse structured metadata that is disallowed, too large or too much."""
        batch, limits = self._batch, self._limits
        if not batch.metadata and batch.metadata_rest is None:
            return
        counts = _pair_counts(batch)
        if not limits.allow_structured_metadata:
            self._refuse_entries(
                refusals.METADATA_DISALLOWED,
                counts > 0,
                np.zeros(len(batch), np.int64),
                lambda labels, _: refusals.metadata_disallowed(labels),
            )
        sizes = _without_level(batch).metadata_bytes()
        bytes_max, count_max = limits.metadata_bytes_max, limits.metadata_names_max
        if bytes_max and sizes.max() > bytes_max:
            self._refuse_entries(
                refusals.METADATA_TOO_LARGE,
                sizes > bytes_max,
                sizes,
                lambda labels, size: refusals.metadata_too_large(
                    labels, size, bytes_max=bytes_max
                ),
            )
        if count_max and counts.max() > count_max:
            self._refuse_entries(
                refusals.METADATA_TOO_MANY,
                counts > count_max,
                counts,
                lambda labels, count: refusals.metadata_too_many(
                    labels, count, count_max=count_max
                ),
            )

    def _refuse_entries(
        self,
        reason: str,
        mask: Mask,
        number: Rows,
        message: Callable[[str, int], str],
    ) -> None:
        """Refuse the rows of `mask`; rows of one stream and number share a text."""
        if self.refused is not None:
            mask = mask & ~self.refused
        rows = np.flatnonzero(mask)
        if not len(rows):
            return
        keys = np.stack([self._batch.stream[rows].astype(np.int64), number[rows]], 1)
        groups, first, times = np.unique(
            keys, axis=0, return_index=True, return_counts=True
        )
        order = np.argsort(first, kind="stable")
        shown = order[: refusals.MESSAGES_MAX]
        for index in shown.tolist():
            stream, value = groups[index].tolist()
            labels = refusals.shown(self._streams[stream].labels.text)
            self.refusals.say(message(labels, value), times=int(times[index]))
        self.refusals.leave_out(int(times[order[refusals.MESSAGES_MAX :]].sum()))
        self._refuse(reason, mask)

    def _refuse(self, reason: str, mask: Mask) -> None:
        batch = self._batch
        sizes = (batch.line_bytes() + batch.metadata_bytes())[mask]
        policies = [stream.policy for stream in self._streams]
        streams = batch.stream[mask]
        for policy in dict.fromkeys(policies):
            of_policy = np.array([p == policy for p in policies])[streams]
            if of_policy.any():
                self.refusals.count(
                    reason,
                    policy,
                    entries=int(of_policy.sum()),
                    size_bytes=int(sizes[of_policy].sum()),
                )
        self.refused = mask if self.refused is None else self.refused | mask


def line_bytes_of(batch: EntryBatch) -> int:
    """Return the bytes of all lines."""
    assert batch.line is not None
    offsets = offsets_of(batch.line)
    return int(offsets[-1] - offsets[0])


def metadata_bytes_of(batch: EntryBatch) -> int:
    """Return the bytes of all structured metadata."""
    if not batch.metadata and batch.metadata_rest is None:
        return 0
    return int(batch.metadata_bytes().sum())


def _pair_counts(batch: EntryBatch) -> Rows:
    counts = np.zeros(len(batch), np.int64)
    for values in batch.metadata.values():
        counts += 1
        if values.null_count:
            counts[null_mask_of(values)] -= 1
    if batch.metadata_rest is not None:
        counts += np.diff(np.asarray(batch.metadata_rest.offsets))
    return counts


def _without_level(batch: EntryBatch) -> EntryBatch:
    if DETECTED_LEVEL not in batch.metadata:
        return batch
    kept = {n: v for n, v in batch.metadata.items() if n != DETECTED_LEVEL}
    return replace(batch, metadata=kept)
