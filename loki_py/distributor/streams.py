"""What the labels of a stream decide: its service name, policy and validity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loki_py.config.limits import Limits
from loki_py.distributor import refusals
from loki_py.distributor.level_words import (
    level_of_severity_number,
    normalised_level,
)
from loki_py.logql.parser import parse_selector
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher, selects

SERVICE_NAME = "service_name"
UNKNOWN_SERVICE = "unknown_service"
SEVERITY_NUMBER = "severity_number"
EVERY_POLICY = "*"

STREAMS_MAX = 200_000
"""Label sets remembered for one value of the limits."""
TABLES_MAX = 64
"""Values of the limits for which label sets are remembered."""

_OWN_STREAM_LABELS = ("__aggregated_metric__", "__pattern__")


@dataclass(frozen=True, slots=True)
class ResolvedStream:
    """What is known of a stream from its labels and its tenant's limits alone.

    Attributes:
        source: the label set as it was pushed.
        labels: the label set as it is stored.
        fault: (reason, text) why the stream is refused, or None.
        missing: enforced labels that it does not have.
        policy: its ingestion policy, "" for none.
        level: the level that a label gives to its lines, or None.
        severity: the level that a severity number among its labels gives, or None.
        suspect: whether it has a fault or misses labels.
    """

    source: LabelSet
    labels: LabelSet
    fault: tuple[str, str] | None
    missing: tuple[str, ...]
    policy: str
    level: str | None
    severity: str | None
    suspect: bool


class StreamResolver:
    """Resolves the streams of pushes; a label set seen before costs a look-up.

    Equal label sets of one `resolve` resolve to one identical label set. At
    most TABLES_MAX times STREAMS_MAX label sets are remembered.
    """

    def __init__(self) -> None:
        self._tables: dict[int, _Table] = {}

    def resolve(
        self, streams: Sequence[LabelSet], limits: Limits
    ) -> list[ResolvedStream]:
        """Return what each of the label sets means under the limits."""
        table = self._tables.get(id(limits))
        if table is None:
            if len(self._tables) >= TABLES_MAX:
                self._tables.clear()
            table = self._tables[id(limits)] = _Table(limits)
        return table.resolve(streams)


class _Table:
    """The label sets seen under one value of the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._policies = _policies_of(limits)
        # By identity first: the decoder hands out one object for one spelling.
        self._by_id: dict[int, ResolvedStream] = {}
        self._labels: dict[tuple[tuple[str, str], ...], LabelSet] = {}

    def resolve(self, streams: Sequence[LabelSet]) -> list[ResolvedStream]:
        if len(self._by_id) > STREAMS_MAX:
            self._by_id.clear()
            self._labels.clear()
        found = list(map(self._by_id.get, map(id, streams)))
        if all(found):
            return found  # type: ignore[return-value]
        return [
            known or self._resolved(new)
            for known, new in zip(found, streams, strict=True)
        ]

    def _resolved(self, source: LabelSet) -> ResolvedStream:
        labels = with_service_name(source, self._limits.discover_service_name)
        labels = self._labels.setdefault(labels.pairs, labels)
        policy = self._policy_of(labels)
        fault = fault_of(labels, self._limits)
        missing = self._missing(labels, policy)
        resolved = ResolvedStream(
            source=source,
            labels=labels,
            fault=fault,
            missing=missing,
            policy=policy,
            level=level_of_labels(labels.as_dict, self._limits.log_level_fields),
            severity=severity_of_labels(labels.as_dict),
            suspect=fault is not None or bool(missing),
        )
        self._by_id[id(source)] = resolved
        return resolved

    def _policy_of(self, labels: LabelSet) -> str:
        for policy, matchers in self._policies:
            if selects(matchers, labels):
                return policy
        return ""

    def _missing(self, labels: LabelSet, policy: str) -> tuple[str, ...]:
        by_policy = self._limits.policy_enforced_labels
        enforced = [
            *self._limits.enforced_labels,
            *by_policy.get(EVERY_POLICY, ()),
            *(by_policy.get(policy, ()) if policy else ()),
        ]
        if not enforced or is_own_stream(labels):
            return ()
        return tuple(n for n in dict.fromkeys(enforced) if n not in labels.as_dict)


def _policies_of(limits: Limits) -> list[tuple[str, Sequence[Matcher]]]:
    """Return (policy, matchers), the highest priority first."""
    found = [
        (-item.priority, policy, parse_selector(item.selector))
        for policy, items in limits.policy_stream_mapping.items()
        for item in items
    ]
    found.sort(key=lambda item: item[:2])
    return [(policy, matchers) for _, policy, matchers in found]


def is_own_stream(labels: LabelSet) -> bool:
    """Return whether the stream is one that the store itself writes."""
    return any(name in labels.as_dict for name in _OWN_STREAM_LABELS)


def with_service_name(labels: LabelSet, sources: Sequence[str]) -> LabelSet:
    """Return the labels with a service name, taken from the first of `sources`."""
    given = labels.as_dict
    if not sources or SERVICE_NAME in given or is_own_stream(labels):
        return labels
    name = next((given[source] for source in sources if source in given), None)
    return LabelSet.of([*labels.pairs, (SERVICE_NAME, name or UNKNOWN_SERVICE)])


def level_of_labels(labels: Mapping[str, str], names: Sequence[str]) -> str | None:
    """Return the level that the labels give, or None."""
    for name in names:
        if name in labels:
            return normalised_level(labels[name])
    return None


def severity_of_labels(labels: Mapping[str, str]) -> str | None:
    """Return the level of the severity number among the labels, or None."""
    number = labels.get(SEVERITY_NUMBER)
    return None if number is None else level_of_severity_number(number)


def fault_of(labels: LabelSet, limits: Limits) -> tuple[str, str] | None:
    """Return (reason, Loki's text) why the labels are refused, or None."""
    pairs = labels.pairs
    if not pairs:
        return (
            refusals.MISSING_LABELS,
            "error at least one label pair is required per stream",
        )
    if is_own_stream(labels):
        return None
    stream = refusals.shown(labels.text)
    count = len(pairs) - (SERVICE_NAME in labels.as_dict)
    if count > limits.label_names_max:
        text = f"has {count} label names; limit {limits.label_names_max}"
        return refusals.MAX_LABEL_NAMES, f"entry for stream '{stream}' {text}"
    previous = [("", ""), *pairs]
    for (before, _), (name, value) in pairwise(previous):
        if len(name.encode()) > limits.label_name_bytes_max:
            text = f"has label name too long: '{refusals.shown(name)}'"
            return refusals.LABEL_NAME_TOO_LONG, f"stream '{stream}' {text}"
        if len(value.encode()) > limits.label_value_bytes_max:
            text = f"has label value too long: '{refusals.shown(value)}'"
            return refusals.LABEL_VALUE_TOO_LONG, f"stream '{stream}' {text}"
        if name == before:
            text = f"has duplicate label name: '{name}'"
            return refusals.DUPLICATE_LABEL_NAMES, f"stream '{stream}' {text}"
    return None
