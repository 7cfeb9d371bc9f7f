"""Detected fields: where they come from, what they look like, how they are bound."""

import numpy as np
import pyarrow as pa
import pytest

from loki_py.model.results import Categories, Streams
from loki_py.querier.detected_fields import fields_of, kind_of, values_of


def sample(*lines, labels=(("app", "a"),), metadata=(), parsed=()):
    """Lines of one stream, all with the same metadata and parsed labels."""
    index = np.zeros(len(lines), np.int64)
    return Streams(
        [labels],
        np.array([0, len(lines)]),
        np.arange(len(lines), dtype=np.int64),
        pa.array(lines, pa.large_string()),
        Categories([metadata], index, [parsed], index),
    )


def shown(found):
    return {
        name: (each.kind, each.parsers, list(each.values))
        for name, each in found.items()
    }


def test_json_lines_give_fields_with_their_paths():
    found = fields_of(
        sample('{"a":{"b-c":1},"x.y":"1.5s","ok":true,"list":[1]}'), count_max=10
    )

    assert shown(found) == {
        "a_b_c": ("int", ["json"], ["1"]),
        "x_y": ("duration", ["json"], ["1.5s"]),
        "ok": ("boolean", ["json"], ["true"]),
    }
    assert found["a_b_c"].json_path == ("a", "b-c")
    assert found["x_y"].json_path == ("x.y",)


def test_lines_that_are_no_json_are_taken_for_logfmt():
    found = fields_of(
        sample('level=info size=10KB msg="a b"', '{"level":"warn"}', "{broken"),
        count_max=10,
    )

    assert shown(found) == {
        "level": ("string", ["logfmt", "json"], ["info", "warn"]),
        "size": ("bytes", ["logfmt"], ["10KB"]),
        "msg": ("string", ["logfmt"], ["a b"]),
    }


def test_structured_metadata_has_no_parser_and_parsed_labels_count():
    given = sample("plain", metadata=(("trace", "7"),), parsed=(("own", "1.5"),))

    found = fields_of(given, count_max=10)

    assert shown(found)["trace"] == ("int", [], ["7"])
    assert shown(found)["own"][::2] == ("float", ["1.5"])


def test_field_named_like_a_stream_label_is_extracted():
    found = fields_of(sample('{"app":"b"}'), count_max=10)

    assert shown(found) == {"app_extracted": ("string", ["json"], ["b"])}
    assert found["app_extracted"].json_path == ("app",)


def test_fields_and_values_are_bounded():
    given = sample("a=1 b=2", "a=2 b=3", "a=3 c=4")

    assert len(fields_of(given, count_max=1)) == 1
    assert values_of(given, "a", count_max=2) == ["1", "2"]
    assert values_of(given, "none", count_max=2) == []


def test_sample_of_nothing_has_no_fields():
    assert fields_of(sample(labels=(("app", "a"),)), count_max=10) == {}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("0", "int"),
        ("-9223372036854775808", "int"),
        ("00000000000000000000000000000001", "int"),
        ("9223372036854775808", "float"),
        ("1e9", "float"),
        ("T", "boolean"),
        ("1m30s", "duration"),
        ("10 MB", "bytes"),
        ("1.2.3", "string"),
        ("", "string"),
        ("9" * 5000, "float"),
    ],
)
def test_kind_is_the_narrowest_that_fits(value, kind):
    assert kind_of(value) == kind
