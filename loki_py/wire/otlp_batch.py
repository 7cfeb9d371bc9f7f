"""Log records of OpenTelemetry, as columns, to entries.

What a record has of its own comes first, then what its resource and its scope
give; of a name that stands several times, the last value counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.config.otlp import OtlpAction, OtlpRules
from loki_py.model.batch import (
    METADATA_COLUMNS_MAX,
    EntryBatch,
    Rows,
    Timestamps,
    null_mask_of,
    with_names_in_rest,
)
from loki_py.model.labels import NAME_PATTERN, LabelSet
from loki_py.wire.metadata import metadata_columns
from loki_py.wire.otlp_values import flattened, text_of

Texts: TypeAlias = pa.LargeStringArray
Pairs: TypeAlias = tuple[tuple[str, str], ...]

SEVERITY_TEXT = "severity_text"
_TEXT = pa.large_string()


@dataclass(frozen=True, slots=True)
class Resource:
    """What a resource gives to its records."""

    labels: LabelSet
    metadata: Pairs


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes of records; three columns of equal length, in record order."""

    rows: Rows
    names: Texts
    values: Texts


def _no_texts() -> Texts:
    return pa.array([], _TEXT)


def _no_attributes() -> Attributes:
    return Attributes(np.zeros(0, np.int64), _no_texts(), _no_texts())


@dataclass(frozen=True, slots=True)
class Records:
    """n log records.

    Attributes:
        scope: int64[n], position in `scopes`.
        scopes: (resource, metadata of the scope); scopes may repeat.
        resource: int64 by scope, position in `resources`.
        time_ns, observed_ns: int64[n]; 0 for not given.
        body: large_string[n].
        columns: fields by the name they are stored under; null where not set.
        attributes: what becomes structured metadata.
        labels: what becomes labels.
    """

    scope: Rows
    scopes: Sequence[Pairs]
    resource: Rows
    resources: Sequence[Resource]
    time_ns: Timestamps
    observed_ns: Timestamps
    body: Texts
    columns: Mapping[str, Texts]
    attributes: Attributes = field(default_factory=_no_attributes)
    labels: Attributes = field(default_factory=_no_attributes)


def resource_of(attributes: Iterable[tuple[str, Any]], rules: OtlpRules) -> Resource:
    """Return what a resource with these attributes gives."""
    labels: dict[str, str] = {}
    metadata: list[tuple[str, str]] = []
    for name, value in attributes:
        match rules.of_resource(name):
            case OtlpAction.LABEL:
                labels |= {_label_name(n): text for n, text in flattened(name, value)}
            case OtlpAction.METADATA:
                metadata += flattened(name, value)
            case OtlpAction.DROP:
                pass
    return Resource(LabelSet.of(labels), tuple(metadata))


def scope_metadata_of(
    attributes: Iterable[tuple[str, Any]],
    *,
    name: str,
    version: str,
    dropped_count: int,
    rules: OtlpRules,
) -> Pairs:
    """Return the structured metadata that a scope gives."""
    metadata = [
        pair
        for attribute, value in attributes
        if rules.of_scope(attribute) is not OtlpAction.DROP
        for pair in flattened(attribute, value)
    ]
    given = (
        ("scope_name", name),
        ("scope_version", version),
        ("scope_dropped_attributes_count", text_of(dropped_count or None)),
    )
    return (*metadata, *(pair for pair in given if pair[1]))


def batch_of(records: Records, rules: OtlpRules, *, now_ns: int) -> EntryBatch:
    """Return the entries; a record without any time gets `now_ns`."""
    count = len(records.time_ns)
    timestamp_ns = np.where(records.time_ns, records.time_ns, records.observed_ns)
    timestamp_ns[timestamp_ns == 0] = now_ns
    columns, rest = metadata_columns(
        records.attributes.rows,
        records.attributes.names,
        records.attributes.values,
        count=count,
    )
    own = dict(records.columns)
    observed = _observed(records)
    if observed is not None:
        own["observed_timestamp"] = observed
    labels, _ = metadata_columns(
        records.labels.rows, records.labels.names, records.labels.values, count=count
    )
    if rules.severity_text_is_label and SEVERITY_TEXT in own:
        labels = {**labels, SEVERITY_TEXT: own.pop(SEVERITY_TEXT)}
    resource = records.resource[records.scope]
    shared = [
        _shared_columns([each.metadata for each in records.resources], resource),
        _shared_columns(records.scopes, records.scope),
    ]
    streams, stream = _streams(records, resource, labels)
    batch = EntryBatch(
        streams,
        stream,
        timestamp_ns,
        records.body,
        _joined([columns, own, *shared]),
        rest,
    )
    return _bounded(batch)


def _observed(records: Records) -> Texts | None:
    """Return the observed times of records that have another time too."""
    both = (records.time_ns != 0) & (records.observed_ns != 0)
    if not both.any():
        return None
    return texts_of_numbers(records.observed_ns, both)


def texts_of_numbers(numbers: Rows, is_set: "np.typing.NDArray[np.bool_]") -> Texts:
    """Return decimal texts, null where not set."""
    mask = None if is_set.all() else ~is_set
    return pa.array(numbers, mask=mask).cast(_TEXT)


def _shared_columns(pairs: Sequence[Pairs], index: Rows) -> dict[str, Texts]:
    """Return a column per name of what `pairs[index]` gives to each row."""
    names = dict.fromkeys(name for each in pairs for name, _ in each)
    if not names:
        return {}
    given = [dict(each) for each in pairs]
    if len(given) == 1:
        one = given[0]
        return {
            name: pa.repeat(pa.scalar(one[name], _TEXT), len(index)) for name in names
        }
    rows = pa.array(index)
    return {
        name: pa.array([each.get(name) for each in given], _TEXT).take(rows)
        for name in names
    }


def _joined(parts: Sequence[Mapping[str, Texts]]) -> dict[str, Texts]:
    joined: dict[str, Texts] = {}
    for part in parts:
        for name, values in part.items():
            before = joined.get(name)
            joined[name] = values if before is None else pc.coalesce(values, before)
    return joined


def _streams(
    records: Records, resource: Rows, labels: Mapping[str, Texts]
) -> tuple[Sequence[LabelSet], "np.typing.NDArray[np.uint32]"]:
    """Return label sets and each row's, with the labels that records give."""
    if not labels:
        given = [each.labels for each in records.resources]
        return given, resource.astype(np.uint32)
    encoded = {name: values.dictionary_encode() for name, values in labels.items()}
    codes = [np.where(null_mask_of(e), -1, _codes_of(e)) for e in encoded.values()]
    groups, stream = np.unique(
        np.stack([resource, *codes]), axis=1, return_inverse=True
    )
    texts = [each.dictionary.to_pylist() for each in encoded.values()]
    names = [_label_name(name) for name in encoded]
    streams = [
        LabelSet.of(
            records.resources[of_resource].labels.as_dict
            | {
                name: values[code]
                for name, values, code in zip(names, texts, chosen, strict=True)
                if code >= 0
            }
        )
        for of_resource, *chosen in groups.T.tolist()
    ]
    return streams, stream.ravel().astype(np.uint32)


def _codes_of(encoded: "pa.DictionaryArray") -> Rows:
    codes: Rows = encoded.indices.fill_null(0).to_numpy().astype(np.int64)
    return codes


def _label_name(name: str) -> str:
    if NAME_PATTERN.fullmatch(name):
        return name
    plain = "".join(c if c.isascii() and (c.isalnum()) else "_" for c in name)
    return f"key_{plain}" if plain[:1].isdigit() else plain


def _bounded(batch: EntryBatch) -> EntryBatch:
    """Return the batch with no more columns than a batch may have."""
    names = list(batch.metadata)
    if len(names) <= METADATA_COLUMNS_MAX:
        return batch
    return with_names_in_rest(batch, keep=names[:METADATA_COLUMNS_MAX])


def split_attributes(
    attributes: Attributes, nested: Mapping[int, Any], rules: OtlpRules
) -> tuple[Attributes, Attributes]:
    """Return the attributes that become metadata and those that become labels.

    Args:
        attributes: as they were sent.
        nested: position in `attributes` to a map, whose own values count.
        rules: say what becomes of which.
    """
    if not rules.log:
        return _expanded(attributes, nested), _no_attributes()
    encoded = attributes.names.dictionary_encode()
    actions = [rules.of_log(name) for name in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy()
    chosen = []
    for action in (OtlpAction.METADATA, OtlpAction.LABEL):
        mask = np.array([each is action for each in actions], np.bool_)[codes]
        index = np.flatnonzero(mask)
        position = {old: new for new, old in enumerate(index.tolist())}
        inner = {position[i]: v for i, v in nested.items() if i in position}
        chosen.append(_expanded(_taken(attributes, index), inner))
    return chosen[0], chosen[1]


def _expanded(attributes: Attributes, nested: Mapping[int, Any]) -> Attributes:
    """Return the attributes with one for each value inside a map."""
    if not nested:
        return attributes
    pairs = [
        (int(attributes.rows[index]), *pair)
        for index, value in nested.items()
        for pair in flattened(attributes.names[index].as_py(), value)
    ]
    is_flat = np.ones(len(attributes.rows), np.bool_)
    is_flat[list(nested)] = False
    flat = _taken(attributes, np.flatnonzero(is_flat))
    rows = np.concatenate([flat.rows, np.array([p[0] for p in pairs], np.int64)])
    order = np.argsort(rows, kind="stable")
    joined = Attributes(
        rows,
        pa.concat_arrays([flat.names, pa.array([p[1] for p in pairs], _TEXT)]),
        pa.concat_arrays([flat.values, pa.array([p[2] for p in pairs], _TEXT)]),
    )
    return _taken(joined, order)


def _taken(attributes: Attributes, index: Rows) -> Attributes:
    chosen = pa.array(index)
    return Attributes(
        attributes.rows[index],
        attributes.names.take(chosen),
        attributes.values.take(chosen),
    )
