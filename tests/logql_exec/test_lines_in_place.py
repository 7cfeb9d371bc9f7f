"""Lines read where they lie: every query gives what it gives for copies of them."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine import ask, lines, points

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.views import viewed_in

STREAMS = tuple(LabelSet((("app", f"a{i}"),)) for i in range(2))
ROWS = 5_000


def copied(special):
    """Return rows of two streams, a few of them special, with lines of their own."""
    texts = [f"level=info took={i % 97}.5ms status={200 + i % 3}" for i in range(ROWS)]
    texts = [special.get(i, text) for i, text in enumerate(texts)]
    return EntryBatch(
        STREAMS,
        np.repeat(np.arange(2, dtype=np.uint32), ROWS // 2),
        np.tile(np.arange(ROWS // 2, dtype=np.int64) * 20_000_000, 2),
        pa.array(texts, pa.large_string()),
    )


def in_place(batch, *, apart):
    """Return the same with views of one buffer, lines adjoining but where `apart`."""
    raw, start, length = bytearray(b"\x00\xff"), [], []
    for i, text in enumerate(batch.line.to_pylist()):
        if i % apart == 0:
            raw += b"\x00\xff\\"
        start.append(len(raw))
        raw += text.encode()
        length.append(len(raw) - start[-1])
    root = pa.py_buffer(bytes(raw + bytes(16)))
    column = viewed_in(root, np.array(start), np.array(length))
    return dataclasses.replace(batch, line=column)


SPECIAL = {
    1_700: "level=error took=7s status=500 needle",
    1_701: 'level="err\\u006fr" took=1ms status=503',
    4_100: "level=error took=1s status=500",
    4_101: "lev",
    4_102: "el=error tail of a line",
}


@pytest.mark.parametrize("apart", [1, 1_000, ROWS])
@pytest.mark.parametrize("special", [SPECIAL, {}, {1_700: SPECIAL[1_700]}])
@pytest.mark.parametrize(
    "query",
    [
        '{app=~".+"} |= "needle"',
        '{app=~".+"} |= "level=error" != "needle"',
        '{app=~".+"} | logfmt | level="error"',
        '{app=~".+"} |= "took" | logfmt | level="error" | status=~"5.."',
        'sum by (level) (count_over_time({app=~".+"} | logfmt | level="error" [10s]))',
        'sum by (status) (count_over_time({app=~".+"} | logfmt [10s]))',
        'sum by (app) (count_over_time({app=~".+"} |= "error" [10s]))',
        'sum by (app) (bytes_over_time({app=~".+"} |= "error" [10s]))',
        'max(max_over_time({app=~".+"} | logfmt | unwrap duration(took)[9s]))',
    ],
)
def test_answers_do_not_depend_on_where_lines_lie(query, special, apart):
    """Searched together or one by one, odd lines and short ones among them."""
    batch = copied(special)
    readable = lines if query.startswith("{") else points

    expected = readable(ask(query, batch, end=60, step=10))

    assert (
        readable(ask(query, in_place(batch, apart=apart), end=60, step=10)) == expected
    )
