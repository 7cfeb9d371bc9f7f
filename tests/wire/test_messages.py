"""Messages: what was sent is what is read; what is broken or newer is refused."""

import msgspec
import numpy as np
import pytest
from fakes.format_pages import hex_example
from fakes.ingesters import batch_of, rows_of

from loki_py.errors import BadMagic, CorruptData, UnknownVersion
from loki_py.model.labels import LabelSet
from loki_py.wire.label_cache import LabelCache
from loki_py.wire.messages import (
    BatchShape,
    Done,
    PushAsked,
    ReleaseAsked,
    decode_message,
    encode_message,
)
from loki_py.wire.messages_batch import (
    COPIED_BYTES_MAX,
    decode_batch,
    decode_labels,
    encode_own,
    shape_of,
)

ODD = {"app": 'a\n"\\ü😀', "b": "x,y}"}
ROWS = [({"app": "a"}, 1, "one"), (ODD, 2, "zwei ü"), ({"app": "a"}, 3, "")]


def pushed(batch):
    columns, texts, _ = encode_own(batch)
    header = PushAsked("t", len(columns), shape_of(batch))
    return encode_message(header, [*columns.pieces, texts])


def arrived(data):
    asked, payload = decode_message(data, PushAsked)
    streams = decode_labels(payload[asked.batch_bytes :], LabelCache())
    return decode_batch(payload[: asked.batch_bytes], asked.batch, streams)


def test_example_matches_the_writer():
    """The bytes printed in messages.md are exactly what the writer emits."""
    example = hex_example("messages.md", "release")

    assert encode_message(ReleaseAsked("ab12")) == example
    assert decode_message(example, ReleaseAsked)[0].session == "ab12"


def test_batch_is_read_as_it_was_written():
    batch = batch_of(ROWS, metadata={"m": ["1", None, ""]})
    back = arrived(pushed(batch))

    assert rows_of(back) == rows_of(batch)
    assert back.metadata["m"].to_pylist() == ["1", None, ""]


def test_slice_of_a_batch_takes_only_its_own_streams_along():
    back = arrived(pushed(batch_of(ROWS).slice(1, 2)))

    assert back.streams == [LabelSet.of(ODD)]
    assert rows_of(back) == rows_of(batch_of(ROWS[1:2]))


def test_columns_lie_where_numpy_wants_them():
    """The payload is used in place; nothing is copied to align it."""
    asked, payload = decode_message(pushed(batch_of(ROWS)), PushAsked)

    assert asked.batch.rows == 3
    assert np.frombuffer(payload, np.uint8).ctypes.data % 8 == 0


def test_unknown_fields_are_ignored():
    """An older program reads what a newer one added."""

    class Newer(msgspec.Struct):
        session: str
        colour: str = "blue"

    assert decode_message(encode_message(Newer("s")), ReleaseAsked)[0].session == "s"


def test_unknown_version_is_refused_with_both_numbers():
    data = encode_message(Done()).replace(b"LP\x01", b"LP\x07", 1)

    with pytest.raises(UnknownVersion, match=r"version 7; this program knows 1"):
        decode_message(data, Done)


def test_foreign_bytes_are_refused():
    with pytest.raises(BadMagic):
        decode_message(b"HTTP/1.1 200", Done)


def test_message_that_is_cut_anywhere_is_refused():
    """No cut is taken for a whole push."""
    data = pushed(batch_of(ROWS))
    whole = rows_of(arrived(data))
    for cut in range(len(data)):
        try:
            found = rows_of(arrived(data[:cut]))
        except CorruptData:
            continue
        assert found != whole, cut


@pytest.mark.parametrize("rows", [slice(0, 300), slice(17, 211)], ids=["all", "part"])
def test_large_batches_arrive_as_small_ones_do(rows):
    """Columns that begin in the middle of theirs, with nulls and further names."""
    large = batch_of(
        [({"app": str(n % 3)}, n, "x" * (n * 7 % 1_000)) for n in range(300)],
        metadata={"m": [None if n % 4 else str(n) for n in range(300)]},
    )
    assert large.total_line_bytes() > COPIED_BYTES_MAX
    sent = large.slice(rows.start, rows.stop)
    found = arrived(pushed(sent))

    assert rows_of(found) == rows_of(sent)
    assert found.metadata["m"].to_pylist() == sent.metadata["m"].to_pylist()


def test_lines_are_not_copied_before_they_are_joined():
    """The buffer that is joined into the message is the column's own."""
    batch = batch_of([({"app": "a"}, n, "x" * 1_000) for n in range(300)])
    columns, _, _ = encode_own(batch)
    addresses = {getattr(piece, "address", 0) for piece in columns.pieces}

    assert batch.line.buffers()[2].address in addresses


def test_rows_of_streams_that_are_not_there_are_refused():
    batch = batch_of(ROWS)
    columns, _, _ = encode_own(batch)

    with pytest.raises(CorruptData, match="refers to stream 1 of 1"):
        decode_batch(
            memoryview(b"".join(columns.pieces)),
            shape_of(batch),
            [LabelSet.of({"a": "b"})],
        )


def test_header_that_promises_other_rows_is_refused():
    batch = batch_of(ROWS)
    columns, _, _ = encode_own(batch)

    with pytest.raises(CorruptData, match="3 rows; its header 4"):
        decode_batch(memoryview(b"".join(columns.pieces)), BatchShape(4), batch.streams)
