"""Bad pushes: Loki's status and text, nothing stored, the server unharmed.

Source of texts: Loki 65e30f8488, pkg/loghttp/push, pkg/validation, observed.
"""

import gzip
import json
import time
import zlib

import cramjam
import numpy as np
import pytest
import zstandard
from harness import PUSH, Api, Server

from bench.server import MIB, memory_of

BODY_BYTES_MAX = 8 * MIB
DECODED_BYTES_MAX = 32 * MIB
SETTINGS = {
    "auth_enabled": "true",
    "distributor.max_recv_msg_size": "8MB",
    "distributor.max_decompressed_size": "32MB",
    "limits_config.reject_old_samples": "true",
}
JSON = {"Content-Type": "application/json"}
SNAPPY = {"Content-Type": "application/x-protobuf"}
NOW_NS = time.time_ns()
STREAM = '{app="a", service_name="a"}'


@pytest.fixture(scope="module")
def server():
    with Server(SETTINGS) as server:
        server.start()
        yield server


@pytest.fixture
def api(server, request):
    """An API whose tenant no other test uses."""
    tenant = f"t{zlib.crc32(request.node.nodeid.encode())}"
    with Api(server.port, tenant) as api:
        yield api


def check_nothing_stored(api):
    """A good line goes in, and it is the only one that comes out."""
    stored = api.push([({"good": "1"}, [(NOW_NS, "good")])])
    found = api.lines(
        '{service_name=~".+"}', start_ns=NOW_NS - 10**16, end_ns=NOW_NS + 10**15
    )

    assert stored.status == 204, stored
    assert found == [(NOW_NS, "good")]


def stream(value, labels=None):
    return {"streams": [{"stream": labels or {"app": "a"}, "values": [value]}]}


NOT_PUSHES = {
    "nothing": b"",
    "cut off": b'{"streams":[{"stream":{"app":"a"},"values":[["1","x"',
    "not json": b"hello",
    "two values": b'{"streams":[]} {"streams":[]}x',
    "an array": b"[]",
    "a text": b'"streams"',
    "streams is an object": b'{"streams":{}}',
    "streams is a text": b'{"streams":"x"}',
    "a stream is a text": b'{"streams":["x"]}',
    "labels are an array": b'{"streams":[{"stream":[],"values":[["1","x"]]}]}',
    "a label is a number": b'{"streams":[{"stream":{"a":1},"values":[["1","x"]]}]}',
    "a label is null": b'{"streams":[{"stream":{"a":null},"values":[["1","x"]]}]}',
    "values is an object": b'{"streams":[{"stream":{"a":"b"},"values":{}}]}',
    "an entry is an object": b'{"streams":[{"stream":{"a":"b"},"values":[{}]}]}',
    "a line is a number": b'{"streams":[{"stream":{"a":"b"},"values":[["1",2]]}]}',
    "depth bomb": b"[" * 1_000_000,
    "depth bomb in an object": b'{"a":' * 1_000_000,
    "depth bomb in labels": b'{"streams":[{"stream":' + b'{"a":' * 1_000_000,
    "depth bomb in values": b'{"streams":[{"values":' + b"[" * 1_000_000,
    "depth bomb in metadata": b'{"streams":[{"stream":{"a":"b"},"values":[["1","x",'
    + b'{"a":' * 1_000_000,
}


@pytest.mark.parametrize("body", NOT_PUSHES.values(), ids=NOT_PUSHES)
def test_what_is_not_a_push_is_refused(api, body):
    answer = api.request("POST", PUSH, body=body, headers=JSON)

    assert answer.status == 400, answer
    assert answer.text.endswith("\n")
    check_nothing_stored(api)


@pytest.mark.parametrize("body", [b"{}", b'{"streams":[]}'])
def test_push_without_streams_is_refused(api, body):
    answer = api.request("POST", PUSH, body=body, headers=JSON)

    assert answer.status == 422, answer
    assert answer.text == "error at least one valid stream is required for ingestion\n"


BAD_TIMESTAMPS = {
    "number": 1_700_000_000_000_000_000,
    "float": 1.5,
    "null": None,
    "bool": True,
    "object": {},
    "word": "abc",
    "empty": "",
    "fraction": "1700000000.5",
    "exponent": "1e18",
    "space": f" {NOW_NS}",
    "hexadecimal": "0x10",
    "underscore": "1_000",
    "beyond int64": "9223372036854775808",
    "far beyond int64": "9" * 400,
    "before int64": "-9223372036854775809",
    "arabic digits": "".join(chr(0x660 + int(d)) for d in str(NOW_NS)),
    "full-width digits": "".join(chr(0xFF10 + int(d)) for d in str(NOW_NS)),
    "rfc3339": "2026-01-01T00:00:00Z",
    "nul at the end": f"{NOW_NS}\x00",
}


@pytest.mark.parametrize("timestamp", BAD_TIMESTAMPS.values(), ids=BAD_TIMESTAMPS)
def test_timestamp_that_is_not_whole_nanoseconds_is_refused(api, timestamp):
    body = json.dumps(stream([timestamp, "x"])).encode()

    answer = api.request("POST", PUSH, body=body, headers=JSON)

    assert answer.status == 400, answer
    check_nothing_stored(api)


def test_one_bad_timestamp_among_good_ones_refuses_all(api):
    values = [[str(NOW_NS + k), f"line {k}"] for k in range(2000)]
    values[1234][0] = "12a4567890123456789"
    body = {"streams": [{"stream": {"app": "a"}, "values": values}]}

    answer = api.request("POST", PUSH, body=json.dumps(body).encode(), headers=JSON)

    assert answer.status == 400, answer
    check_nothing_stored(api)


BAD_METADATA = {
    "number": {"a": 1},
    "null": {"a": None},
    "nested": {"a": {"b": "c"}},
    "array": ["a"],
    "text": "a",
}


@pytest.mark.parametrize("metadata", BAD_METADATA.values(), ids=BAD_METADATA)
def test_metadata_that_is_not_text_to_text_is_refused(api, metadata):
    body = json.dumps(stream([str(NOW_NS), "x", metadata])).encode()

    answer = api.request("POST", PUSH, body=body, headers=JSON)

    assert answer.status == 400, answer
    check_nothing_stored(api)


REFUSED_ENTRIES = {
    "label name": (
        {"a-b": "c"},
        (NOW_NS, "x"),
        (
            "couldn't parse labels: 1:3: parse error: "
            "unexpected character inside braces: '-'"
        ),
    ),
    "line too long": (
        {"app": "a"},
        (NOW_NS, "x" * 300_000),
        (
            f"max entry size '262144' bytes exceeded for stream '{STREAM}' "
            "while adding an entry with length '300000' bytes"
        ),
    ),
    "label value too long": (
        {"app": "a", "b": "x" * 2049},
        (NOW_NS, "x"),
        f"has label value too long: '{'x' * 2049}'",
    ),
    "label name too long": (
        {"app": "a", "b" * 1025: "x"},
        (NOW_NS, "x"),
        f"has label name too long: '{'b' * 1025}'",
    ),
    "too many labels": (
        {f"l{k:02}": "x" for k in range(16)},
        (NOW_NS, "x"),
        "has 16 label names; limit 15",
    ),
    "too old": (
        {"app": "a"},
        (1_570_818_238_000_000_000, "x"),
        (
            f"entry for stream '{STREAM}' has timestamp too old: 2019-10-11T18:23:58Z, "
            "oldest acceptable timestamp is: "
        ),
    ),
    "negative": ({"app": "a"}, (-5, "x"), "has timestamp too old: 1969-12-31T23:59"),
    "too new": (
        {"app": "a"},
        (NOW_NS + 86_400 * 10**9, "x"),
        f"entry for stream '{STREAM}' has timestamp too new: ",
    ),
}


@pytest.mark.parametrize(
    ("labels", "entry", "text"), REFUSED_ENTRIES.values(), ids=REFUSED_ENTRIES
)
def test_entry_that_breaks_a_rule_is_refused(api, labels, entry, text):
    answer = api.push([(labels, [entry])])

    assert answer.status == 400, answer
    assert text in answer.text
    check_nothing_stored(api)


def test_good_entries_beside_a_refused_one_are_stored(api):
    answer = api.push([({"app": "a"}, [(NOW_NS, "x" * 300_000), (NOW_NS, "kept")])])
    found = api.lines('{app="a"}', start_ns=NOW_NS, end_ns=NOW_NS + 1)

    assert answer.status == 400
    assert found == [(NOW_NS, "kept")]


BAD_TENANTS = {
    "../x": "tenant ID '../x' contains unsupported character '/'",
    "..": "tenant ID is '.' or '..'",
    ".": "tenant ID is '.' or '..'",
    "a/b": "tenant ID 'a/b' contains unsupported character '/'",
    "a\\b": "tenant ID 'a\\b' contains unsupported character '\\'",
    "x" * 151: "tenant ID is too long: max 150 characters",
    "a|b": "multiple org IDs present",
}


@pytest.mark.parametrize(("tenant", "text"), BAD_TENANTS.items())
def test_tenant_that_may_not_be_is_refused(server, tenant, text):
    files = set(server.data.rglob("*"))
    with Api(server.port, tenant) as api:
        answer = api.push([({"app": "a"}, [(NOW_NS, "x")])])

    assert answer.status == 400, answer
    assert answer.text == f"{text}\n"
    assert set(server.data.rglob("*")) == files


@pytest.mark.parametrize("path", [PUSH, "/api/prom/push"])
def test_missing_tenant_is_refused(server, path):
    with Api(server.port) as api:
        answer = api.request("POST", path, body=b"{}", headers=JSON)

    assert (answer.status, answer.text) == (401, "no org id\n")


# Encodings and sizes


def json_of(count_bytes):
    """Return a valid push body with one label value of this many bytes."""
    return json.dumps(stream([str(NOW_NS), "x" * count_bytes])).encode()


def test_body_over_its_limit_is_refused(api):
    body = json_of(BODY_BYTES_MAX)

    answer = api.request("POST", PUSH, body=body, headers=JSON)

    assert answer.status == 413, answer
    assert answer.text.startswith("request body too large: ")
    assert answer.text.endswith(f" bytes, limit: {BODY_BYTES_MAX} bytes\n")
    check_nothing_stored(api)


def test_chunked_body_over_its_limit_is_refused(server):
    """Without a Content-Length the limit holds while the body comes in."""
    import socket

    head = (
        f"POST {PUSH} HTTP/1.1\r\nHost: x\r\nX-Scope-OrgID: chunked\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"%x\r\n%b\r\n" % (MIB, b" " * MIB)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(head.encode())
        try:
            for _ in range(1000):
                client.sendall(piece)
            client.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # refused while we still sent
        answer = client.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert memory_of(server.pid)["resident_mib"] < 1000


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "mime: no media type\n"),
        (
            {**JSON, "Content-Encoding": "br"},
            'Content-Encoding "br" not supported\n',
        ),
    ],
    ids=["no type", "brotli"],
)
def test_unknown_form_of_body_is_refused(api, headers, text):
    answer = api.request("POST", PUSH, body=json_of(1), headers=headers)

    assert (answer.status, answer.text) == (400, text)
    check_nothing_stored(api)


def test_json_that_says_it_is_text_is_not_snappy(api):
    headers = {"Content-Type": "text/plain"}

    answer = api.request("POST", PUSH, body=json_of(1), headers=headers)

    assert answer.status == 400
    assert "snappy: corrupt input" in answer.text
    check_nothing_stored(api)


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


GOOD_SNAPPY = bytes(cramjam.snappy.compress_raw(b"\x0a\x00" * 100))
BAD_SNAPPY = {
    "empty": b"",
    "claims 4 GiB": varint(2**32 - 1) + GOOD_SNAPPY[2:],
    "claims 2^60": varint(2**60) + GOOD_SNAPPY[2:],
    "claims 31 MB": varint(31 * MIB) + GOOD_SNAPPY[2:],
    "claims too little": varint(3) + GOOD_SNAPPY[2:],
    "cut off": GOOD_SNAPPY[:-1],
    "endless length": b"\xff" * 20,
    "copy before the start": varint(100) + b"\x00a\xfe\xff\xff",
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("body", BAD_SNAPPY.values(), ids=BAD_SNAPPY)
def test_snappy_that_lies_is_refused(server, api, body):
    before = memory_of(server.pid)["resident_mib_highest"]

    answer = api.request("POST", PUSH, body=body, headers=SNAPPY)

    assert answer.status in {400, 413}, answer
    assert memory_of(server.pid)["resident_mib_highest"] - before < 100
    check_nothing_stored(api)


def field(number, payload):
    return bytes([number << 3 | 2]) + varint(len(payload)) + payload


def entry(line, *, seconds=NOW_NS // 10**9, nanos=0):
    when = b"\x08" + varint(seconds % 2**64) + b"\x10" + varint(nanos % 2**64)
    return field(2, field(1, when) + field(2, line))


LABELS = field(1, b'{app="a"}')
BAD_PROTOBUF = {
    "cut off": field(1, LABELS + entry(b"x"))[:-1],
    "length beyond the end": b"\x0a\xff\xff\xff\xff\x0f",
    "wire type 7": b"\x0f",
    "labels are a number": field(1, b"\x08\x01" + entry(b"x")),
    "labels do not close": field(1, field(1, b'{app="a"') + entry(b"x")),
    "labels are noise": field(1, field(1, b"app=a") + entry(b"x")),
    "a name is not UTF-8": field(1, field(1, b'{a\xffp="a"}') + entry(b"x")),
    "labels say = twice": field(1, field(1, b'{app=="a"}') + entry(b"x")),
    "labels are a selector": field(1, field(1, b'{app=~"a"}') + entry(b"x")),
    "name twice": field(1, field(1, b'{app="a", app="b"}') + entry(b"x")),
    "year 300000": field(1, LABELS + entry(b"x", seconds=2**43)),
}


@pytest.mark.parametrize("request_", BAD_PROTOBUF.values(), ids=BAD_PROTOBUF)
def test_protobuf_that_is_wrong_is_refused(api, request_):
    body = bytes(cramjam.snappy.compress_raw(request_))

    answer = api.request("POST", PUSH, body=body, headers=SNAPPY)

    assert answer.status == 400, answer
    check_nothing_stored(api)


def zeros(count, compress):
    """Return `count` MiB of spaces, compressed."""
    piece = b" " * MIB
    return b"".join(compress.compress(piece) for _ in range(count)) + compress.flush()


BOMB_MIB = 1024
BOMBS = {
    "gzip": lambda: zeros(BOMB_MIB, zlib.compressobj(1, wbits=31)),
    "deflate": lambda: zeros(BOMB_MIB, zlib.compressobj(1, wbits=-15)),
    "zstd": lambda: zeros(BOMB_MIB, zstandard.ZstdCompressor().compressobj()),
}


@pytest.mark.parametrize("encoding", BOMBS)
@pytest.mark.parametrize("kind", [JSON, SNAPPY], ids=["json", "protobuf"])
def test_decompression_bomb_stops_at_the_cap(server, api, encoding, kind):
    """1 GiB from a few MB: memory grows by no more than the cap and its copies."""
    body = BOMBS[encoding]()
    before = memory_of(server.pid)["resident_mib_highest"]

    answer = api.request(
        "POST", PUSH, body=body, headers={**kind, "Content-Encoding": encoding}
    )

    grown = memory_of(server.pid)["resident_mib_highest"] - before
    assert len(body) < BODY_BYTES_MAX
    assert answer.status == 413, answer
    assert answer.text.startswith("request body too large: ")
    assert grown < 3 * DECODED_BYTES_MAX / MIB
    check_nothing_stored(api)


def test_snappy_bomb_stops_at_the_cap(server, api):
    body = bytes(cramjam.snappy.compress_raw(b" " * (128 * MIB)))
    before = memory_of(server.pid)["resident_mib_highest"]

    answer = api.request("POST", PUSH, body=body, headers=SNAPPY)

    assert len(body) < BODY_BYTES_MAX
    assert answer.status == 413, answer
    assert memory_of(server.pid)["resident_mib_highest"] - before < 64
    check_nothing_stored(api)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_broken_compression_is_refused(api, encoding):
    whole = gzip.compress(json_of(1000), mtime=0)
    for body in (b"", b"hello", whole[:-20], whole[:40] + b"\x00" * 40):
        headers = {**JSON, "Content-Encoding": encoding}

        answer = api.request("POST", PUSH, body=body, headers=headers)

        assert answer.status == 400, (body[:20], answer)
    check_nothing_stored(api)


# Ten million keys


KEYS = 10_000_000


def keys():
    """Return KEYS pairs of an object, "0000000":"v","0000001":"v",…"""
    pairs = np.tile(np.frombuffer(b'"0000000":"v",', np.uint8), (KEYS, 1))
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    numbers = np.arange(KEYS)
    for place in range(7):
        pairs[:, 7 - place] = digits[numbers >> 4 * place & 15]
    return pairs.tobytes()[:-1]


TEN_MILLION_KEYS = {
    "beside the streams": (422, b'{"streams":[],%b}'),
    "labels": (413, b'{"streams":[{"stream":{%b},"values":[["1","x"]]}]}'),
    "beside no values": (204, b'{"streams":[{"stream":{"a":"b"},%b}]}'),
    "metadata": (413, b'{"streams":[{"stream":{"a":"b"},"values":[["1","x",{%b}]]}]}'),
}


@pytest.fixture(scope="module")
def ten_million_keys():
    return keys()


@pytest.mark.parametrize(
    ("status", "form"), TEN_MILLION_KEYS.values(), ids=TEN_MILLION_KEYS
)
def test_object_of_ten_million_keys_costs_a_few_copies_of_its_bytes(
    ten_million_keys, status, form
):
    """140 MB of JSON, and no tower of objects."""
    body = zlib.compress(form % ten_million_keys, 1, wbits=31)
    with Server() as server, Api(server.port) as api:
        server.start()

        answer = api.request(
            "POST", PUSH, body=body, headers={**JSON, "Content-Encoding": "gzip"}
        )

        assert answer.status == status
        assert len(answer.body) < 10_000
        assert memory_of(server.pid)["resident_mib_highest"] < 1024
        check_nothing_stored(api)


def test_bytes_that_are_not_utf8_become_spaces(api):
    """As in Loki, which takes such a line; no bad byte ever comes back."""
    body = json.dumps(stream([str(NOW_NS), "AB"])).encode()
    body = body.replace(b"AB", b"A\xff\xc3(\xed\xa0\x80B")

    answer = api.request("POST", PUSH, body=body, headers=JSON)
    found = api.lines('{app="a"}', start_ns=NOW_NS, end_ns=NOW_NS + 1)

    assert answer.status == 204, answer
    assert found == [(NOW_NS, "A  (   B")]


def test_label_name_that_is_not_utf8_is_refused(api):
    body = json.dumps(stream([str(NOW_NS), "x"])).encode()
    body = body.replace(b'"app"', b'"a\xffp"')

    answer = api.request("POST", PUSH, body=body, headers=JSON)

    assert answer.status == 400, answer
    assert answer.text.startswith("couldn't parse labels: ")
    check_nothing_stored(api)
