"""Fields that a tenant names, copied into structured metadata."""

import numpy as np
import pyarrow as pa
import pytest

from loki_py.config.limits import Limits
from loki_py.distributor.generic_fields import GenericFields
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet

PLAIN = LabelSet.of({"app": "a"})
TRACED = LabelSet.of({"app": "b", "trace_id": "of the labels"})


def batch_of(*lines, streams=(PLAIN,), stream=None, metadata=()):
    columns = {name: pa.array(v, pa.large_string()) for name, v in metadata}
    return EntryBatch(
        streams,
        np.array([0] * len(lines) if stream is None else stream, np.uint32),
        np.arange(len(lines)),
        pa.array(lines, pa.large_string()),
        columns,
    )


def found(batch, **wanted):
    """Return the metadata that comes of it."""
    made = GenericFields().with_fields(batch, wanted)
    return {name: values.to_pylist() for name, values in made.metadata.items()}


def test_values_come_of_json_and_logfmt_lines():
    batch = batch_of('{"id":7,"o":{"id":"x"}}', "id=8 o=9", "neither", "")

    assert found(batch, f=["id"]) == {"f": ["7", "8", None, None]}
    assert found(batch, f=["o.id"]) == {"f": ["x", None, None, None]}


def test_sources_are_asked_in_order():
    batch = batch_of('{"b":"2"}', '{"b":"2","a":"1"}', "b=2 a=1", "a= b=2")

    assert found(batch, f=["a", "b"]) == {"f": ["2", "1", "1", "2"]}


def test_labels_come_before_metadata_and_metadata_before_lines():
    batch = batch_of(
        *["trace_id=line"] * 3,
        streams=(PLAIN, TRACED),
        stream=[1, 0, 0],
        metadata=[("trace_id", ["m", "m", None])],
    )

    assert found(batch, trace=["trace_id"])["trace"] == ["of the labels", "m", "line"]


def test_metadata_of_that_name_stays():
    batch = batch_of("id=1", "id=1", metadata=[("f", ["mine", None])])

    assert found(batch, f=["id"]) == {"f": ["mine", "1"]}


def test_fields_that_nobody_has_leave_no_column():
    assert found(batch_of("x=1", "{}"), f=["y"], g=[]) == {}


@pytest.mark.parametrize("source", ["user-id", "a b", "[", ""])
def test_names_that_are_no_path_are_keys(source):
    assert found(batch_of(f'{{"{source}":1}}'), f=[source]) == {"f": ["1"]}


def test_names_to_which_no_path_leads_are_not_there():
    assert found(batch_of('{"q\\"":1}'), f=['q"']) == {}


def test_limits_are_read_and_shown_as_loki_writes_them():
    written = {"discover_generic_fields": {"fields": {"trace": ["trace_id", "t.id"]}}}
    limits = Limits.from_mapping(written)

    assert limits.discover_generic_fields == {"trace": ("trace_id", "t.id")}
    assert limits.to_mapping()["discover_generic_fields"] == {
        "fields": {"trace": ["trace_id", "t.id"]}
    }
    assert Limits().to_mapping()["discover_generic_fields"] == {}


@pytest.mark.parametrize("wrong", [{"x": 1}, {"fields": {"a-b": []}}, {"fields": 3}])
def test_wrong_limits_are_refused(wrong):
    with pytest.raises(ValueError, match="discover_generic_fields"):
        Limits.from_mapping({"discover_generic_fields": wrong})
