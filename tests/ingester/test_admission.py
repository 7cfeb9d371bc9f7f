"""Admission: which entries of a push are taken, and why others are not."""

import numpy as np
import pyarrow as pa
import pytest

from loki_py.config.limits import Limits
from loki_py.errors import LimitExceeded, ValidationFailed
from loki_py.ingester.admission import AdmissionRules, admit
from loki_py.ingester.head import runs_of
from loki_py.ingester.stream_table import StreamTable
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet

SECOND = 10**9
NOW = 1_795_000_000 * SECOND
A, B = LabelSet.of({"app": "a"}), LabelSet.of({"app": "b"})


def batch_of(*rows, streams=(A, B)):
    """Rows are (stream position, seconds relative to NOW, line)."""
    stream, seconds, lines = zip(*rows, strict=True)
    return EntryBatch(
        streams,
        np.array(stream, np.uint32),
        np.array([NOW + s * SECOND for s in seconds], np.int64),
        pa.array(lines, pa.large_string()),
    )


def rules(**changes):
    defaults = {
        "streams_max": 0,
        "window_ns": 0,
        "stream_idle_ns": 3600 * SECOND,
        "limits": Limits(),
    }
    return AdmissionRules(**{**defaults, **changes})


def push(table, batch, **changes):
    """Admit a push and note its times, as the service does on append."""
    result = admit("t", batch, table, rules(**changes), now_ns=NOW)
    if result.accepted is not None:
        runs = runs_of(result.accepted.stream, result.accepted.timestamp_ns)
        table.note_times(runs.ref, runs.oldest_ns, runs.newest_ns)
    return result


def test_accepted_rows_carry_refs_and_new_streams_are_named():
    """A first push creates its streams; a second one finds them."""
    table = StreamTable()

    first = push(table, batch_of((0, 0, "x"), (1, 0, "y"), (0, 1, "z")))
    second = push(table, batch_of((0, 2, "w"), streams=(B,)))

    assert first.new_refs == [0, 1]
    assert first.accepted.stream.tolist() == [0, 1, 0]
    assert second.new_refs == []
    assert second.accepted.stream.tolist() == [1]


def test_stream_over_the_limit_is_refused_alone():
    """The stream that is one too many gets the error; the other is stored."""
    table = StreamTable()

    result = push(table, batch_of((0, 0, "x"), (1, 0, "yy")), streams_max=1)

    assert result.accepted.line.to_pylist() == ["x"]
    assert list(result.rejected) == [1]
    assert isinstance(result.rejected[1], LimitExceeded)
    assert str(result.rejected[1]) == (
        'maximum active stream limit exceeded when trying to create stream {app="b"}, '
        "reduce the number of active streams (reduce labels or reduce label values), "
        "or contact your Loki administrator to see if the limit can be increased, "
        "user: 't'"
    )
    assert [(d.reason, d.entries_count, d.bytes) for d in result.discards] == [
        ("stream_limit", 1, 2)
    ]


def test_idle_streams_do_not_count_as_active():
    """A stream without appends for the idle time makes room for another."""
    table = StreamTable()
    table.add(A, now_ns=NOW - 7200 * SECOND)

    result = push(table, batch_of((0, 0, "x"), streams=(B,)), streams_max=1)

    assert result.rejected == {}


def test_entry_behind_the_window_is_refused_with_both_times():
    """The window is measured from the newest entry the stream ever had."""
    table = StreamTable()
    push(table, batch_of((0, 0, "new")))

    late = batch_of((0, -3601, "old"), (0, -3600, "edge"), (1, -9999, "b"))
    result = push(table, late, window_ns=3600 * SECOND)

    assert result.accepted.line.to_pylist() == ["edge", "b"]
    assert isinstance(result.rejected[0], ValidationFailed)
    assert str(result.rejected[0]) == (
        "entry with timestamp 2026-11-18 10:06:39 +0000 UTC ignored, reason: "
        "'entry too far behind, entry timestamp is: 2026-11-18T10:06:39Z, oldest "
        "acceptable timestamp is: 2026-11-18T10:06:40Z',\n"
        "user 't', total ignored: 1 out of 2 for stream: {app=\"a\"}"
    )


def test_newer_entry_of_the_same_push_moves_the_window():
    """Entries are judged in order: what came before counts, what follows not."""
    table = StreamTable()
    rows = ((0, -4000, "first"), (0, 0, "newest"), (0, -3999, "late"))

    result = push(table, batch_of(*rows), window_ns=3600 * SECOND)

    assert result.accepted.line.to_pylist() == ["first", "newest"]


def test_no_window_takes_every_order():
    """With a window of 0 an entry may be of any age."""
    table = StreamTable()
    push(table, batch_of((0, 0, "new")))

    result = push(table, batch_of((0, -(10**6), "ancient")))

    assert result.rejected == {}


def test_stream_over_its_rate_is_refused_whole_with_429():
    """All entries of the stream are refused, other streams are not touched."""
    table = StreamTable()
    limits = Limits.from_mapping(
        {"per_stream_rate_limit": "100B", "per_stream_rate_limit_burst": "100B"}
    )
    rows = ((0, 0, "x" * 60), (0, 1, "x" * 41), (1, 0, "y" * 100))

    result = push(table, batch_of(*rows), limits=limits)

    assert result.accepted.line.to_pylist() == ["y" * 100]
    assert result.rejected[0].status == 429
    assert (
        "reason: 'Per stream rate limit exceeded (limit: 100B/sec) while attempting "
        "to ingest for stream '{app=\"a\"}' totaling 60B, consider splitting"
    ) in str(result.rejected[0])
    assert "total ignored: 2 out of 2" in str(result.rejected[0])


def test_rate_bucket_refills_with_time():
    """A second later the stream may send its rate again."""
    table = StreamTable()
    limits = Limits.from_mapping(
        {"per_stream_rate_limit": "100B", "per_stream_rate_limit_burst": "100B"}
    )
    line = batch_of((0, 0, "x" * 100), streams=(A,))
    assert admit("t", line, table, rules(limits=limits), now_ns=NOW).accepted

    soon = admit("t", line, table, rules(limits=limits), now_ns=NOW + SECOND // 2)
    later = admit("t", line, table, rules(limits=limits), now_ns=NOW + SECOND)

    assert soon.accepted is None
    assert later.accepted is not None


@pytest.mark.parametrize("size", [1, 65, 1000])
def test_table_grows_without_losing_streams(size):
    """Arrays grow past their first capacity; every stream keeps its ref."""
    table = StreamTable()
    labels = [LabelSet.of({"n": str(i)}) for i in range(size)]

    refs = [table.add(item, now_ns=NOW) for item in labels]

    assert [table.find(item) for item in labels] == refs
    assert table.active_count(appended_since_ns=NOW) == size


def test_refs_of_removed_streams_are_used_again():
    """A stream that nothing holds is forgotten after its idle time."""
    table = StreamTable()
    table.add(A, now_ns=NOW - 100)
    table.add(B, now_ns=NOW)

    assert table.remove_unused(appended_before_ns=NOW - 50) == 1
    assert table.find(A) is None
    assert table.add(A, now_ns=NOW) == 0


def test_held_streams_are_never_removed():
    """A stream with entries in a head or block file stays, however idle."""
    table = StreamTable()
    ref = table.add(A, now_ns=NOW - 100)
    table.holders[ref] = 1

    assert table.remove_unused(appended_before_ns=NOW) == 0
    assert table.find(A) == ref


def test_label_set_that_stands_twice_is_one_stream():
    """It is created once, and entries of both places follow one another."""
    table = StreamTable()
    rows = ((0, -4000, "first"), (1, 0, "newest"), (2, -3999, "late"))

    result = push(table, batch_of(*rows, streams=(A, A, A)), window_ns=3600 * SECOND)

    assert result.new_refs == [0]
    assert result.accepted.stream.tolist() == [0, 0]
    assert result.accepted.line.to_pylist() == ["first", "newest"]
    assert list(result.rejected) == [2]


def test_places_of_one_stream_share_its_rate():
    """Each place is granted or refused what the ones before it left."""
    table = StreamTable()
    limits = Limits.from_mapping(
        {"per_stream_rate_limit": 10, "per_stream_rate_limit_burst": 10}
    )
    rows = ((0, 0, "six..."), (1, 0, "five."), (2, 0, "four"))

    result = push(table, batch_of(*rows, streams=(A, A, A)), limits=limits)

    assert result.accepted.line.to_pylist() == ["six...", "four"]
    assert list(result.rejected) == [1]
    assert table.tokens[0] == 0


def test_refused_stream_moves_no_window_of_another():
    """What was over the limit of streams is nobody's newest entry."""
    table = StreamTable()
    rows = ((1, 0, "over"), (0, -4000, "old"))

    result = push(
        table,
        batch_of(*rows, streams=(A, B)),
        streams_max=1,
        window_ns=3600 * SECOND,
    )

    assert result.accepted.line.to_pylist() == ["old"]
