"""OTLP bodies: what becomes of resources, scopes and records, in both encodings."""

import base64
import gzip
import json
import zlib

import lz4_frames
import push_bodies
import pytest
import zstandard
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
)

from loki_py.config.limits import Limits
from loki_py.errors import BodyTooLarge, RequestRejected
from loki_py.wire.otlp import OtlpDecoder

NOW_NS = 1_795_210_739_000_000_000
JSON, PROTO = "application/json", "application/x-protobuf"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"


def texts(**values):
    """Return attributes whose values are texts."""
    return [{"key": k, "value": {"stringValue": v}} for k, v in values.items()]


def request(records, *, resource=(), scope=None):
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": list(resource)},
                "scopeLogs": [{"scope": scope or {}, "logRecords": list(records)}],
            }
        ]
    }


def bodies_of(message):
    """Return (content type, body) in JSON and in protobuf."""
    for_proto = json.loads(json.dumps(message))
    for group in for_proto.get("resourceLogs", ()):
        for scope in group["scopeLogs"]:
            for record in scope["logRecords"]:
                for name in ("traceId", "spanId"):
                    if name in record:
                        raw = bytes.fromhex(record[name])
                        record[name] = base64.b64encode(raw).decode()
    parsed = json_format.ParseDict(for_proto, ExportLogsServiceRequest())
    return [
        (JSON, json.dumps(message).encode()),
        (PROTO, parsed.SerializeToString()),
    ]


def decode(body, content_type=JSON, *, encoding="", rules=None, bytes_max=1 << 25):
    config = {"otlp_config": rules or {}}
    return (
        OtlpDecoder()
        .decode(
            body,
            content_type=content_type,
            content_encoding=encoding,
            decoded_bytes_max=bytes_max,
            rules=Limits.from_mapping(config).otlp_rules,
            now_ns=NOW_NS,
        )
        .batch
    )


def entries(message, **options):
    """Return what both encodings of a message decode to, which must be the same."""
    as_json, as_proto = (
        [
            (str(labels), ns, line, metadata)
            for labels, ns, line, metadata in push_bodies.rows_of(
                decode(body, content_type, **options)
            )
        ]
        for content_type, body in bodies_of(message)
    )
    assert as_json == as_proto
    return as_json


def refusal(body, content_type=JSON, **options):
    with pytest.raises(RequestRejected) as caught:
        decode(body, content_type, **options)
    return caught.value.status, str(caught.value)


def test_resource_attributes_become_labels_and_the_rest_metadata():
    message = request(
        [
            {
                "timeUnixNano": "7",
                "observedTimeUnixNano": "8",
                "severityNumber": 9,
                "severityText": "INFO",
                "body": {"stringValue": "a line"},
                "attributes": texts(**{"http.method": "GET"}),
                "droppedAttributesCount": 2,
                "flags": 1,
                "traceId": TRACE,
                "spanId": SPAN,
                "eventName": "login",
            }
        ],
        resource=texts(**{"service.name": "shop", "host.name": "h1"}),
        scope={"name": "lib", "version": "1.2", "droppedAttributesCount": 3}
        | {"attributes": texts(kind="x")},
    )

    [(labels, ns, line, metadata)] = entries(message)

    assert labels == '{service_name="shop"}'
    assert (ns, line) == (7, "a line")
    assert metadata == {
        "http.method": "GET",
        "observed_timestamp": "8",
        "severity_number": "9",
        "severity_text": "INFO",
        "dropped_attributes_count": "2",
        "flags": "1",
        "trace_id": TRACE,
        "span_id": SPAN,
        "event_name": "login",
        "host.name": "h1",
        "kind": "x",
        "scope_name": "lib",
        "scope_version": "1.2",
        "scope_dropped_attributes_count": "3",
    }


def test_record_without_time_gets_the_observed_time_and_else_the_present():
    records = [{"observedTimeUnixNano": "5"}, {}, {"timeUnixNano": "6"}]

    found = entries(request(records))

    assert [(ns, line, metadata) for _, ns, line, metadata in found] == [
        (5, "", {}),
        (NOW_NS, "", {}),
        (6, "", {}),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"stringValue": "ü\n"}, "ü\n"),
        ({"boolValue": True}, "true"),
        ({"boolValue": False}, "false"),
        ({"intValue": "-9223372036854775808"}, "-9223372036854775808"),
        ({"intValue": "0"}, "0"),
        ({"intValue": "9007199254740993"}, "9007199254740993"),
        ({"doubleValue": 1.5}, "1.5"),
        ({"doubleValue": 2.0}, "2"),
        ({"doubleValue": 1e21}, "1e+21"),
        ({"doubleValue": 1e20}, "100000000000000000000"),
        ({"doubleValue": 1.5e-5}, "0.000015"),
        ({"doubleValue": 1e-7}, "1e-7"),
        ({"bytesValue": "AAH/"}, "AAH/"),
        ({"arrayValue": {"values": [{"intValue": "1"}, {}]}}, "[1,null]"),
        (
            {
                "kvlistValue": {
                    "values": [
                        {"key": "b", "value": {"stringValue": "<&>"}},
                        {"key": "a", "value": {"arrayValue": {}}},
                    ]
                }
            },
            '{"a":[],"b":"\\u003c\\u0026\\u003e"}',
        ),
        ({}, ""),
    ],
)
def test_body_is_text_and_what_is_nested_is_json(value, text):
    [(_, _, line, _)] = entries(request([{"timeUnixNano": "1", "body": value}]))

    assert line == text


def test_maps_in_attributes_are_flattened_and_lists_are_json():
    nested = {
        "kvlistValue": {
            "values": [
                {"key": "a", "value": {"intValue": "1"}},
                {
                    "key": "b",
                    "value": {
                        "kvlistValue": {"values": texts(c="deep")},
                    },
                },
                {
                    "key": "l",
                    "value": {"arrayValue": {"values": [{"boolValue": True}]}},
                },
            ]
        }
    }
    attributes = [{"key": "m", "value": nested}, *texts(z="last")]
    flat = {"m_a": "1", "m_b_c": "deep", "m_l": "[true]"}

    [(labels, _, _, metadata)] = entries(
        request(
            [{"timeUnixNano": "1", "attributes": attributes}],
            resource=[{"key": "service.name", "value": nested}],
        )
    )

    assert metadata == {**flat, "z": "last"}
    assert (
        labels
        == '{service_name_a="1", service_name_b_c="deep", service_name_l="[true]"}'
    )


def test_rules_of_the_tenant_decide_what_becomes_of_attributes():
    rules = {
        "resource_attributes": {
            "ignore_defaults": True,
            "attributes_config": [
                {"action": "index_label", "attributes": ["zone"]},
                {"action": "drop", "regex": "x.*"},
            ],
        },
        "scope_attributes": [{"action": "drop", "regex": ".*"}],
        "log_attributes": [
            {"action": "index_label", "attributes": ["team.name"]},
            {"action": "drop", "attributes": ["secret"]},
        ],
        "severity_text_as_label": True,
    }
    records = [
        {
            "timeUnixNano": str(number),
            "severityText": "WARN",
            "attributes": texts(secret="s", kept="k", **team),
        }
        for number, team in [(1, {"team.name": "a"}), (2, {}), (3, {"team.name": "a"})]
    ]
    message = request(
        records,
        resource=texts(**{"service.name": "shop", "zone": "z1", "xyz": "1"}),
        scope={"attributes": texts(gone="1")},
    )
    metadata = {"kept": "k", "service.name": "shop"}

    assert entries(message, rules=rules) == [
        ('{severity_text="WARN", team_name="a", zone="z1"}', 1, "", metadata),
        ('{severity_text="WARN", zone="z1"}', 2, "", metadata),
        ('{severity_text="WARN", team_name="a", zone="z1"}', 3, "", metadata),
    ]


def test_every_resource_has_its_own_stream_and_metadata():
    groups = [
        request([{"timeUnixNano": str(number)}], resource=texts(**resource))
        for number, resource in [
            (1, {"service.name": "a", "host": "h1"}),
            (2, {"service.name": "b"}),
            (3, {"service.name": "a", "host": "h1"}),
        ]
    ]
    message = {"resourceLogs": [group["resourceLogs"][0] for group in groups]}

    assert entries(message) == [
        ('{service_name="a"}', 1, "", {"host": "h1"}),
        ('{service_name="b"}', 2, "", {}),
        ('{service_name="a"}', 3, "", {"host": "h1"}),
    ]


def test_many_names_keep_their_values():
    attributes = texts(**{f"name{number}": str(number) for number in range(120)})

    [(_, _, _, metadata)] = entries(
        request(
            [{"timeUnixNano": "1", "attributes": attributes}], resource=texts(h="1")
        )
    )

    assert metadata == {f"name{n}": str(n) for n in range(120)} | {"h": "1"}


def test_fields_may_come_in_any_order():
    [(_, body)] = bodies_of(request([]))[1:]
    time = b"\x09" + (5).to_bytes(8, "little")
    line = push_bodies.field(5, push_bodies.field(1, b"text"))
    unknown = push_bodies.field(99, b"x") + b"\xf8\x06\x01"
    records = [time + line, line + unknown + time]
    scope = b"".join(push_bodies.field(2, record) for record in records)
    body = push_bodies.field(1, push_bodies.field(2, scope))

    rows = push_bodies.rows_of(decode(body, PROTO))

    assert [(ns, line) for _, ns, line, _ in rows] == [(5, "text"), (5, "text")]


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("zstd", zstandard.compress),
        ("lz4", lz4_frames.stored),
        ("deflate", zlib.compress),
    ],
)
def test_bodies_may_be_compressed(encoding, encode):
    body = json.dumps(request([{"timeUnixNano": "1"}])).encode()

    assert len(decode(encode(body), encoding=encoding)) == 1


@pytest.mark.parametrize(
    ("body", "options", "status", "text"),
    [
        (b"{}", {"content_type": "text/plain"}, 400, "content type: text/plain is not"),
        (b"{}", {"encoding": "br"}, 400, "unsupported content encoding br: only gzip"),
        (b"{}", {}, 422, "error at least one valid stream"),
        (b"", {"content_type": PROTO}, 422, "error at least one valid stream"),
        (b"[", {}, 400, "json: "),
        (b"\x0a\x05", {"content_type": PROTO}, 400, "proto: "),
        (b'{"resourceLogs":[{"resource":1}]}', {}, 400, "json: Expected `object"),
        (b"x", {"encoding": "gzip"}, 400, "gzip: "),
    ],
)
def test_wrong_bodies_are_refused(body, options, status, text):
    found_status, found = refusal(body, **options)

    assert found_status == status
    assert found.startswith(text)


@pytest.mark.parametrize("field", [{"traceId": "00ff"}, {"spanId": "zz" * 8}])
def test_ids_of_wrong_length_or_digits_are_refused(field):
    body = json.dumps(request([{"timeUnixNano": "1", **field}])).encode()

    assert refusal(body)[0] == 400


def test_truncated_and_damaged_protobuf_is_refused_or_decodes():
    message = request(
        [{"timeUnixNano": "1", "attributes": texts(a="b"), "traceId": TRACE}],
        resource=texts(c="d"),
    )
    body = bodies_of(message)[1][1]

    for position in range(len(body)):
        for flipped in (body[position] ^ 0x80, body[position] ^ 0x07):
            damaged = body[:position] + bytes([flipped]) + body[position + 1 :]
            for each in (damaged, body[:position]):
                try:
                    decode(each, PROTO)
                except RequestRejected as error:
                    assert error.status in {400, 413, 422}  # noqa: PT017


@pytest.mark.parametrize("length", [2**31, 2**56 - 1, 2**63 - 1, 2**64 - 1])
def test_lengths_that_no_body_has_are_refused(length):
    record = b"\x2a" + push_bodies.varint(length) + b"rest"
    scope = push_bodies.field(2, record)
    body = push_bodies.field(1, push_bodies.field(2, scope))

    assert refusal(body, PROTO) == (400, "proto: illegal or truncated field")


def test_record_of_endless_fields_is_refused():
    record = b"\x10\x01" * 2_001
    scope = push_bodies.field(2, record)
    body = push_bodies.field(1, push_bodies.field(2, scope))

    with pytest.raises(BodyTooLarge, match="fields in a message"):
        decode(body, PROTO)
