"""Entry batches made from rows that a person can read, and back."""

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from loki_py.model.batch import REST_TYPE, EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import selects


def batch_of(rows, *, streams=None):
    """Return a batch of (labels as a dict, timestamp_ns, line[, metadata[, rest]])."""
    rows = [(*row, {}, {})[:5] if len(row) == 3 else (*row, {})[:5] for row in rows]
    sets = [LabelSet.of(row[0]) for row in rows]
    streams = tuple(dict.fromkeys(sets)) if streams is None else streams
    number = {labels: position for position, labels in enumerate(streams)}
    names = dict.fromkeys(name for row in rows for name in row[3])
    rest = [list(row[4].items()) or None for row in rows]
    return EntryBatch(
        streams,
        np.array([number[labels] for labels in sets], dtype=np.uint32),
        np.array([row[1] for row in rows], dtype=np.int64),
        pa.array([row[2] for row in rows], pa.large_string()),
        {
            name: pa.array([row[3].get(name) for row in rows], pa.large_string())
            for name in names
        },
        pa.array(rest, REST_TYPE) if any(rest) else None,
    )


def selected(batch, scan):
    """Return bool[n]: what of the batch a scan asks for, row by row."""
    wanted = np.array([selects(scan.matchers, labels) for labels in batch.streams])
    is_in_time = (batch.timestamp_ns >= scan.start_ns) & (
        batch.timestamp_ns < scan.end_ns
    )
    return is_in_time & wanted[batch.stream]


def rows_of(batch):
    """Return what `batch_of` takes; absent metadata is left out."""
    metadata = {name: values.to_pylist() for name, values in batch.metadata.items()}
    n = len(batch)
    lines = [None] * n if batch.line is None else batch.line.to_pylist()
    rest = (
        [None] * n if batch.metadata_rest is None else batch.metadata_rest.to_pylist()
    )
    return [
        (
            dict(batch.streams[stream].pairs),
            int(timestamp_ns),
            lines[row],
            {k: v[row] for k, v in metadata.items() if v[row] is not None},
            dict(rest[row] or ()),
        )
        for row, (stream, timestamp_ns) in enumerate(
            zip(batch.stream.tolist(), batch.timestamp_ns, strict=True)
        )
    ]


def file_order(row):
    """Return what rows of `rows_of` are sorted by in files."""
    labels = LabelSet.of(row[0])
    return labels.fingerprint, labels.text, row[1]


label_sets = st.dictionaries(
    st.sampled_from(["app", "env", "pod"]),
    st.sampled_from(["a", "b", 'q"uo\\te\n', "ü"]),
    min_size=1,
    max_size=2,
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
entry_rows = st.lists(
    st.tuples(
        label_sets,
        st.integers(0, 5) | st.integers(-(2**63), 2**63 - 1),
        texts,
        st.dictionaries(st.sampled_from(["trace", "metadata", "ü"]), texts, max_size=2),
        st.dictionaries(st.sampled_from(["r1", "r2"]), texts, max_size=2),
    ),
    max_size=30,
)
