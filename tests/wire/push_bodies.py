"""Push bodies written by hand, so that decoders are not tested by themselves."""

import json

import cramjam


def varint(value):
    """Return protobuf's varint of an unsigned number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, payload):
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def timestamp(ns):
    """Return a Timestamp message; zero parts are left out, as proto3 does."""
    seconds, nanos = divmod(ns, 10**9)
    out = b""
    if seconds:
        out += b"\x08" + varint(seconds % 2**64)
    if nanos:
        out += b"\x10" + varint(nanos)
    return out


def entry(ns, line, metadata=None):
    """Return an Entry message in the field order that encoders write."""
    out = field(1, timestamp(ns))
    if line:
        out += field(2, line if isinstance(line, bytes) else line.encode())
    for name, value in (metadata or {}).items():
        pair = field(1, name.encode()) if name else b""
        pair += field(2, value.encode()) if value else b""
        out += field(3, pair)
    return out


def proto_stream(labels, entries):
    """Return a Stream field of a request; entries are messages."""
    body = field(1, labels.encode()) + b"".join(field(2, item) for item in entries)
    return field(1, body)


def proto_body(streams):
    """Return a snappy body of [(label text, [(ns, line, metadata)])]."""
    plain = b"".join(
        proto_stream(labels, [entry(*item) for item in entries])
        for labels, entries in streams
    )
    return bytes(cramjam.snappy.compress_raw(plain))


def json_body(streams):
    """Return a JSON body of [(labels, [(ns, line, metadata)])]."""
    return json.dumps(
        {
            "streams": [
                {
                    "stream": labels,
                    "values": [
                        [str(ns), line, metadata] if metadata else [str(ns), line]
                        for ns, line, metadata in entries
                    ],
                }
                for labels, entries in streams
            ]
        }
    ).encode()


def rows_of(batch):
    """Return what a batch says, one (labels, ns, line, metadata) per row."""
    columns = {name: values.to_pylist() for name, values in batch.metadata.items()}
    rest = [()] * len(batch)
    if batch.metadata_rest is not None:
        rest = [pairs or () for pairs in batch.metadata_rest.to_pylist()]
    return [
        (
            batch.streams[stream].text,
            ns,
            line,
            {n: v[row] for n, v in columns.items() if v[row] is not None}
            | dict(rest[row]),
        )
        for row, (stream, ns, line) in enumerate(
            zip(
                batch.stream.tolist(),
                batch.timestamp_ns.tolist(),
                batch.line.to_pylist(),
                strict=True,
            )
        )
    ]
