"""What `inspect` tells of an index file is what it holds."""

import pyarrow as pa
from test_chunk_table import A, B, pack_of

from loki_py.index.files import encode_index_file
from loki_py.index.inspect import index_rows


def test_index_file_tells_packs_and_chunks():
    packs = [pack_of("p1", [(A, 0, 1), (B, 2, 3)])]
    data = encode_index_file(packs, tenant="t", writer="w", replaces=["old"])

    head, replaces, pack, *chunks = index_rows(pa.py_buffer(data))

    assert (head["tenant"], head["chunks"], head["entries"]) == ("t", 2, 20)
    assert replaces == {"replaces": "old"}
    assert pack["key"] == "p1"
    assert [(c["labels"], c["from"], c["through"]) for c in chunks] == [
        (A.text, 0, 1),
        (B.text, 2, 3),
    ]
