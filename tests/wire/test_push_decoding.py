"""Push bodies: what Loki accepts, its texts for the rest, and hostile bodies."""

import gzip
import json
import tracemalloc
import zlib

import cramjam
import push_bodies
import pytest
import zstandard

from loki_py.errors import BodyTooLarge, RequestRejected, ValidationFailed
from loki_py.wire.push import PushDecoder
from loki_py.wire.push_json import PREFIX

JSON = "application/json"
PROTO = "application/x-protobuf"
CAP = 1 << 25


def decode(body, content_type=JSON, **options):
    if isinstance(body, str):
        body = body.encode()
    options = {"decoded_bytes_max": CAP} | options
    return PushDecoder().decode(body, content_type=content_type, **options).batch


def values(text):
    """Return a body whose one stream has these values."""
    return '{"streams":[{"stream":{"a":"b"},"values":' + text + "}]}"


def refusal(body, content_type=JSON, **options):
    with pytest.raises(RequestRejected) as caught:
        decode(body, content_type, **options)
    return caught.value.status, str(caught.value)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('[["1","x"]]', [(1, "x", {})]),
        ('[["1"]]', [(1, "", {})]),
        ('[null,["1","x"],null]', [(1, "x", {})]),
        ('[["1","x",{"k":"v"}],["2","y"]]', [(1, "x", {"k": "v"}), (2, "y", {})]),
        ('[["1","x",{"k":"v"},4]]', [(1, "x", {"k": "v"})]),
        ('[["1","x",{}]]', [(1, "x", {})]),
        ("[]", []),
        ("null", []),
        (
            '[["1795210739000000000","x"],["9223372036854775807",""]]',
            [(1795210739000000000, "x", {}), (2**63 - 1, "", {})],
        ),
        ('[["-5","x"],["007","y"]]', [(-5, "x", {}), (7, "y", {})]),
        (r'[["1","\ud83d\ude80 \u0000"]]', [(1, "🚀 \0", {})]),
    ],
)
def test_values_that_loki_accepts(text, rows):
    decoded = push_bodies.rows_of(decode(values(text)))

    assert decoded == [('{a="b"}', *row) for row in rows]


def test_a_large_body_means_the_same_as_a_small_one():
    """Metadata of a large body takes another way to the same columns."""
    long = "x" * (5 << 20)
    small = decode(values('[["1","x",{"k":"v"}],["2","y"]]'))
    large = decode(values('[["1","' + long + '",{"k":"v"}],["2","y"]]'))

    assert large.metadata["k"].equals(small.metadata["k"])
    assert large.line.to_pylist() == [long, "y"]
    assert refusal(values('[["1","' + long + '",{"k":1}]]'))[1] == PREFIX + NOT_TEXT


NOT_TEXT = "Value is string, but can't find closing '\"' symbol"
NOT_NUMBER = (
    "Value looks like Number/Boolean/None, but can't find its end: ',' or '}' symbol"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[1,"x"]]', NOT_TEXT),
        ('[["1",2]]', NOT_TEXT),
        ('[["1","x",{"k":1}]]', NOT_TEXT),
        ('[["1","x","k"]]', "Value looks like object"),
        ('["1","x"]', "Value is array"),
        ('[["","x"]]', NOT_NUMBER),
        ('[["1.5","x"]]', NOT_NUMBER),
        ('[["+1","x"]]', NOT_NUMBER),
        ('[["1e9","x"]]', NOT_NUMBER),
        ('[[" 1","x"]]', NOT_NUMBER),
        ('[["1,2","x"]]', NOT_NUMBER),
        ('[["١٢","x"]]', NOT_NUMBER),
        ('[["179521073900000000x","x"]]', NOT_NUMBER),
        ('[["9223372036854775808","x"]]', "Value is number, but overflowed"),
        ('[["' + "9" * 5000 + '","x"]]', "Value is number, but overflowed"),
        (r'[["1","\ud800"]]', "JSON is malformed"),
    ],
)
def test_values_that_loki_refuses(text, reason):
    status, told = refusal(values(text))

    assert status == 400
    assert told.startswith(PREFIX + reason)


def test_bytes_that_are_no_utf8_become_spaces():
    body = values('[["1","a~b~~c"]]').encode().replace(b"~", b"\xff")
    entry = push_bodies.entry(1, b"a\xffb\xff\xffc")
    proto = push_bodies.proto_stream('{a="b"}', [entry, push_bodies.entry(2, "é")])

    from_json = decode(body)
    from_proto = decode(bytes(cramjam.snappy.compress_raw(proto)), PROTO)

    assert from_json.line.to_pylist() == ["a b  c"]
    assert from_proto.line.to_pylist() == ["a b  c", "é"]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ('{"b":"2","a":"1"}', '{a="1", b="2"}'),
        ('{"a":"","b":"2"}', '{b="2"}'),
        ('{"a":1,"b":true,"c":"x"}', '{a="1", b="true", c="x"}'),
        ('{"a":"q\\"\\n"}', '{a="q\\"\\n"}'),
        ("{}", "{}"),
        ("null", "{}"),
    ],
)
def test_labels_of_json(labels, text):
    batch = decode('{"streams":[{"stream":' + labels + ',"values":[["1","x"]]}]}')

    assert batch.streams[0].text == text


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ('{"a-b":"c"}', "1:3: parse error: unexpected character inside braces: '-'"),
        ('{"1a":"c"}', "1:2: parse error: unexpected character inside braces: '1'"),
    ],
)
def test_names_that_are_no_label_names_are_refused(labels, reason):
    body = '{"streams":[{"stream":' + labels + ',"values":[["1","x"]]}]}'

    assert refusal(body) == (400, "couldn't parse labels: " + reason)


@pytest.mark.parametrize(
    "body", ["{}", '{"streams":[]}', '{"streams":null}', '{"other":1}']
)
def test_a_body_without_streams_is_told_so(body):
    assert refusal(body) == (
        422,
        "error at least one valid stream is required for ingestion",
    )


@pytest.mark.parametrize(
    ("content_type", "encoding", "text"),
    [
        (None, "", "mime: no media type"),
        ("text/plain", "", "snappy: corrupt input"),
        (JSON, "br", 'Content-Encoding "br" not supported'),
    ],
)
def test_headers_that_loki_refuses(content_type, encoding, text):
    body = values('[["1","x"]]')

    assert refusal(body, content_type, content_encoding=encoding) == (400, text)


@pytest.mark.parametrize("content_type", [JSON, f"{JSON}; charset=utf-8", PROTO])
@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("", None),
        ("snappy", None),
        ("gzip", gzip.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
        ("zstd", zstandard.compress),
    ],
)
def test_every_encoding_carries_both_formats(content_type, encoding, encode):
    plain = values('[["1","x"]]').encode()
    if content_type == PROTO:
        plain = push_bodies.proto_stream('{a="b"}', [push_bodies.entry(1, "x")])
        encode = encode or (lambda data: bytes(cramjam.snappy.compress_raw(data)))
    body = encode(plain) if encode else plain

    batch = decode(body, content_type, content_encoding=encoding)

    assert push_bodies.rows_of(batch) == [('{a="b"}', 1, "x", {})]


def test_a_body_over_the_cap_is_told_its_size():
    body = values('[["1","x"]]')

    assert refusal(body, decoded_bytes_max=10) == (
        413,
        f"request body too large: {len(body)} bytes, limit: 10 bytes",
    )


def test_the_legacy_shape_is_understood():
    body = json.dumps(
        {
            "streams": [
                {
                    "labels": '{b="2", a="1"}',
                    "entries": [
                        {"ts": "2026-11-20T21:39:13.123456789Z", "line": "x"},
                        {"ts": "2026-11-20T22:39:13+01:00", "line": "y"},
                    ],
                }
            ]
        }
    )

    assert push_bodies.rows_of(decode(body, legacy=True)) == [
        ('{a="1", b="2"}', 1795210753123456789, "x", {}),
        ('{a="1", b="2"}', 1795210753000000000, "y", {}),
    ]


@pytest.mark.parametrize("time", ["", "yesterday", "1795210753", "2026-13-01"])
def test_a_legacy_time_that_is_none_is_refused(time):
    entry = {"ts": time, "line": "x"}
    body = json.dumps({"streams": [{"labels": '{a="b"}', "entries": [entry]}]})

    status, text = refusal(body, legacy=True)

    assert status == 400
    assert text.startswith(PREFIX)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[",
        "nonsense",
        "[]",
        "1",
        '{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}',
        '{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}]} trailing',
        '{"streams":' + "[" * 100_000,
        '{"x":' * 100_000,
        '{"streams":[{"stream":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}]}",
        values('[["1","x",' + '{"a":' * 50_000 + "1" + "}" * 50_000 + "]]"),
    ],
    ids=lambda body: body[:20],
)
def test_a_broken_or_bottomless_body_is_a_client_error(body):
    assert refusal(body)[0] == 400


def test_an_object_of_a_million_keys_is_refused_unread():
    """Labels or metadata of many megabytes are no labels or metadata."""
    pairs = ",".join(f'"k{i}":"v"' for i in range(1_500_000))
    bodies = [
        '{"streams":[{"stream":{' + pairs + '},"values":[["1","x"]]}]}',
        values('[["1","x",{' + pairs + "}]]"),
    ]
    tracemalloc.start()

    for body in bodies:
        assert refusal(body)[0] == 413

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * len(bodies[0])


@pytest.mark.parametrize("tiny", ['["1"],', "[],", "null,[],"])
def test_a_body_of_millions_of_tiny_entries_is_refused_unread(tiny):
    tracemalloc.start()

    assert refusal(values("[" + tiny * 2_100_000 + "null]"))[0] == 413

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000_000


def test_a_protobuf_body_of_millions_of_empty_entries_is_refused():
    plain = push_bodies.field(1, push_bodies.field(2, b"") * 2_100_000)

    assert refusal(gzip.compress(plain, 1), PROTO, content_encoding="gzip")[0] == 413


def test_unknown_keys_cost_nothing():
    pairs = ",".join(f'"k{i}":{{}}' for i in range(100_000))

    assert len(decode("{" + pairs + "," + values('[["1","x"]]')[1:])) == 1


def _proto(*entries, labels='{a="b"}'):
    return bytes(cramjam.snappy.compress_raw(push_bodies.proto_stream(labels, entries)))


def test_entries_in_unusual_form_mean_the_same():
    """Other field orders, unknown fields and repeated fields are legal."""
    stamp = push_bodies.field(1, push_bodies.timestamp(1_500_000_000_000_000_007))
    line, other = push_bodies.field(2, b"x"), push_bodies.field(2, b"y")
    pair = push_bodies.field(3, push_bodies.field(2, b"v") + push_bodies.field(1, b"k"))
    hash_field = b"\x18\x05"
    plain = push_bodies.entry(5, "plain", {"k": "w"})
    body = _proto(
        line + stamp,
        plain,
        stamp + other + line,
        stamp + pair + line,
        hash_field[:0] + stamp + line + push_bodies.field(4, b""),
        push_bodies.field(1, b"") + line,
        b"",
    )

    rows = push_bodies.rows_of(decode(body, PROTO))

    ns = 1_500_000_000_000_000_007
    assert [row[1:] for row in rows] == [
        (ns, "x", {}),
        (5, "plain", {"k": "w"}),
        (ns, "x", {}),
        (ns, "x", {"k": "v"}),
        (ns, "x", {}),
        (0, "x", {}),
        (0, "", {}),
    ]


def test_times_before_1970_are_read():
    stamp = push_bodies.field(1, b"\x08" + push_bodies.varint(2**64 - 2))

    (row,) = push_bodies.rows_of(decode(_proto(stamp), PROTO))

    assert row[1] == -2_000_000_000


def test_a_time_that_does_not_fit_is_refused():
    stamp = push_bodies.field(1, b"\x08" + push_bodies.varint(2**62))

    assert refusal(_proto(stamp), PROTO) == (400, "proto: timestamp out of range")


def test_an_entry_of_very_many_pairs_is_read():
    wide = {f"k{i}": str(i) for i in range(300)}
    body = _proto(
        push_bodies.entry(1, "x", wide), push_bodies.entry(2, "y", {"k1": ""})
    )

    rows = push_bodies.rows_of(decode(body, PROTO))

    assert rows[0][3] == wide
    assert rows[1][3] == {"k1": ""}


def test_every_cut_and_every_changed_byte_of_a_body_ends_in_rows_or_a_refusal():
    entries = [
        push_bodies.entry(1_795_210_753_000_000_001, "level=info x", {"k": "v"}),
        push_bodies.entry(2, "", {"": "w"}),
    ]
    plain = push_bodies.proto_stream('{a="b"}', entries)
    cuts = [plain[:cut] for cut in range(len(plain))]
    flips = [
        plain[:at] + bytes([plain[at] ^ bit]) + plain[at + 1 :]
        for at in range(len(plain))
        for bit in (1, 0x80, 0x7F)
    ]

    for body in cuts + flips:
        try:
            batch = decode(gzip.compress(body, 1), PROTO, content_encoding="gzip")
        except (ValidationFailed, BodyTooLarge):
            continue
        assert len(push_bodies.rows_of(batch)) == len(batch)


def test_label_texts_of_protobuf_are_parsed():
    batch = decode(_proto(push_bodies.entry(1, "x"), labels="{ b=`2`,a='1', }"), PROTO)

    assert batch.streams[0].text == '{a="1", b="2"}'
