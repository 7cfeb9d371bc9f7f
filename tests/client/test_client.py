"""The client's requests and what it makes of answers."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest
from client.fake_store import answering, samples_answer, streams_answer

from loki_py.client import Client, Entry, RequestFailed
from loki_py.client.answers import WrongKind
from loki_py.client.bodies import bodies, items_of
from loki_py.client.connection import BACKOFF_S_MAX, backoff_s

T = 1_767_225_600_000_000_000


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    return answering(monkeypatch)


@pytest.fixture
def client():
    return Client("http://store.invalid:3100", retries_max=2)


def test_importing_the_client_imports_no_frame_library():
    """A program that only logs pays for none of them."""
    program = (
        "import sys, loki_py.client;"
        "print(*{'pyarrow', 'polars', 'pandas', 'numpy', 'websockets', 'pydantic'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True)

    assert done.stdout.strip() == b"", done


def test_entries_are_pushed_by_stream(store, client):
    pushed = client.push(
        [
            Entry({"app": "a", "env": "x"}, "one", T),
            Entry({"app": "b"}, "two", T + 1, {"trace": "t1"}),
            Entry({"env": "x", "app": "a"}, "three", T + 2),
        ]
    )

    assert pushed == 3
    assert store.pushed == [
        {
            "stream": {"app": "a", "env": "x"},
            "values": [[str(T), "one"], [str(T + 2), "three"]],
        },
        {"stream": {"app": "b"}, "values": [[str(T + 1), "two", {"trace": "t1"}]]},
    ]


def test_many_entries_go_in_bodies_of_bounded_size():
    entries = [Entry({"app": "a"}, "x" * 400, T + at) for at in range(10)]

    found = list(bodies(items_of(entries), bytes_max=1000))

    assert [count for _, count in found] == [2] * 5


def test_an_entry_larger_than_a_body_goes_alone():
    entries = [Entry({"app": "a"}, "x" * size, T) for size in (1, 5000, 1)]

    found = list(bodies(items_of(entries), bytes_max=1000))

    assert [count for _, count in found] == [1, 1, 1]


def test_columns_are_pushed_with_what_metadata_a_row_has(store, client):
    client.push_lines(
        {"app": "a"},
        ["one", "two"],
        timestamps_ns=[T, T + 1],
        metadata={"trace": ["t1", None]},
    )

    assert store.pushed[0]["values"] == [
        [str(T), "one", {"trace": "t1"}],
        [str(T + 1), "two", {}],
    ]


def test_lines_without_times_get_one_each(store, client):
    client.push_lines({"app": "a"}, ["same", "same"])

    first, second = (int(ns) for ns, _ in store.pushed[0]["values"])
    assert second == first + 1


def test_columns_of_unequal_lengths_are_refused(client):
    with pytest.raises(ValueError, match="1 timestamps, 2 lines"):
        client.push_lines({"app": "a"}, ["one", "two"], timestamps_ns=[T])


@pytest.mark.parametrize("convert", [pl.DataFrame, pa.table, "pandas"])
def test_tables_of_every_library_are_pushed(store, client, convert):
    if convert == "pandas":
        convert = pytest.importorskip("pandas").DataFrame
    table = convert(
        {
            "timestamp": [datetime(2026, 1, 1, tzinfo=UTC)] * 2,
            "line": ["one", "two"],
            "app": ["a", "b"],
            "trace": ["t1", None],
        }
    )

    client.push_table(table, labels=["app"])

    assert store.pushed == [
        {"stream": {"app": "a"}, "values": [[str(T), "one", {"trace": "t1"}]]},
        {"stream": {"app": "b"}, "values": [[str(T), "two"]]},
    ]


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["7"]), pl.Int64])
def test_columns_that_are_no_plain_text_are_pushed(store, client, kind):
    frame = pl.DataFrame({"timestamp": [T], "line": ["one"], "app": ["7"]})

    client.push_table(frame.with_columns(pl.col("app").cast(kind)), labels=["app"])

    assert store.pushed[0]["stream"] == {"app": "7"}


def test_a_table_with_a_missing_line_is_refused(client):
    frame = pl.DataFrame({"timestamp": [T, T], "line": ["one", None]})

    with pytest.raises(ValueError, match="1 rows have no line"):
        client.push_table(frame, labels=[])


def test_what_may_succeed_later_is_repeated(store, client):
    store.answers = [RequestFailed("busy", status=503), RequestFailed("gone"), b""]

    client.push([Entry({"app": "a"}, "one", T)])

    assert len(store.requests) == 3
    assert len({body for *_, body in store.requests}) == 1


def test_what_is_wrong_is_not_repeated(store, client):
    store.answers = [RequestFailed("entry too old", status=400)]

    with pytest.raises(RequestFailed, match="too old"):
        client.push([Entry({"app": "a"}, "one", T)])

    assert len(store.requests) == 1


def test_repeating_ends(store, client):
    store.answers = [RequestFailed("busy", status=503)] * 9

    with pytest.raises(RequestFailed):
        client.labels()

    assert len(store.requests) == 3


def test_pauses_grow_up_to_a_bound_and_heed_the_server():
    assert 0.25 <= backoff_s(1) <= 0.5
    assert BACKOFF_S_MAX / 2 <= backoff_s(50) <= BACKOFF_S_MAX
    assert backoff_s(1, asked_s=7) == 7


def test_entries_come_newest_first_with_their_metadata(store, client):
    store.answers = [
        streams_answer(
            ({"app": "a"}, [(T, "one", {}), (T + 2, "three", {})]),
            (
                {"app": "b"},
                [
                    (
                        T + 1,
                        "two",
                        {"structuredMetadata": {"x": "1"}, "parsed": {"y": "2"}},
                    )
                ],
            ),
        )
    ]

    found = client.query('{app=~".+"}', start=T, end=T + 9)

    assert list(found) == [
        Entry({"app": "a"}, "three", T + 2),
        Entry({"app": "b"}, "two", T + 1, {"x": "1", "y": "2"}),
        Entry({"app": "a"}, "one", T),
    ]


def test_pages_share_a_moment_without_repeating_or_losing_entries(store, client):
    """Where a page ends inside one nanosecond, the next begins in it."""
    one = [(T, "a", {}), (T + 1, "b", {}), (T + 1, "c", {})]
    two = [(T + 1, "b", {}), (T + 1, "c", {}), (T + 1, "d", {}), (T + 2, "e", {})]
    store.answers = [
        streams_answer(({"app": "a"}, one)),
        streams_answer(({"app": "a"}, two)),
    ]

    found = client.query(
        '{app="a"}', start=T, end=T + 9, direction="forward", page_entries=3
    )

    assert found.lines == ["a", "b", "c", "d", "e"]
    assert store.requests[1][2]["start"] == str(T + 1)
    assert store.requests[1][2]["limit"] == "5"


def test_limit_ends_the_pages(store, client):
    store.answers = [
        streams_answer(({"app": "a"}, [(T + 5, "e", {}), (T + 4, "d", {})])),
        streams_answer(({"app": "a"}, [(T + 4, "d", {}), (T + 3, "c", {})])),
    ]

    found = client.query('{app="a"}', start=T, end=T + 9, limit=3, page_entries=2)

    assert found.lines == ["e", "d", "c"]
    assert [request[2]["limit"] for request in store.requests] == ["2", "2"]


def test_entries_become_a_table_of_labels(store, client):
    store.answers = [
        streams_answer(
            (
                {"app": "a", "line": "7"},
                [
                    (T, "one", {"structuredMetadata": {"trace": "t1"}}),
                    (T + 1, "two", {}),
                ],
            ),
            ({"app": "b"}, [(T + 2, "three", {})]),
        )
    ]

    found = client.query("{}", start=T, end=T + 9, direction="forward")

    assert found.to_arrow().schema.field("timestamp").type == pa.timestamp("ns", "UTC")
    assert found.to_polars().drop("timestamp").to_dict(as_series=False) == {
        "line": ["one", "two", "three"],
        "app": ["a", "a", "b"],
        "line_label": ["7", "7", None],
        "trace": ["t1", None, None],
    }


def test_a_name_that_is_label_and_metadata_is_one_column(store, client):
    extra = {"structuredMetadata": {"pod": "p"}}
    store.answers = [
        streams_answer(
            ({"pod": "label"}, [(T, "one", {})]), ({"app": "b"}, [(T, "two", extra)])
        )
    ]

    frame = client.query("{}", start=T, end=T + 9).to_polars()

    assert frame["pod"].to_list() == ["label", "p"]


def test_no_entries_are_a_table_too(store, client):
    store.answers = [streams_answer()]

    table = client.query("{}", start=T, end=T + 9).to_arrow()

    assert table.column_names == ["timestamp", "line"]
    assert table.num_rows == 0


def test_entries_become_a_pandas_frame(store, client):
    pytest.importorskip("pandas")
    store.answers = [streams_answer(({"app": "a"}, [(T, "one", {})]))]

    frame = client.query("{}", start=T, end=T + 9).to_pandas()

    assert frame["line"].tolist() == ["one"]
    assert frame["timestamp"][0].value == T


@pytest.mark.parametrize(
    ("kind", "result", "expected"),
    [
        ("vector", [{"metric": {"app": "a"}, "value": [1767225600.001, "2"]}], 2.0),
        ("matrix", [{"metric": {"app": "a"}, "values": [[1767225600.001, "2"]]}], 2.0),
        ("scalar", [1767225600001, "2"], 2.0),
        ("vector", [{"metric": {}, "value": [1767225600.001, "+Inf"]}], float("inf")),
    ],
)
def test_samples_are_read_whatever_their_kind(store, client, kind, result, expected):
    store.answers = [samples_answer(kind, result)]

    found = client.query_instant("1 + 1")

    [(_, samples)] = found
    assert samples == [(T + 1_000_000, expected)]
    assert found.to_polars()["value"].to_list() == [expected]


def test_a_metric_query_in_the_place_of_a_log_query_is_said(store, client):
    store.answers = [samples_answer("matrix", [])]

    with pytest.raises(WrongKind, match="query_samples"):
        client.query("rate({}[1m])")


def test_step_and_time_are_sent_exactly(store, client):
    store.answers = [samples_answer("matrix", []), samples_answer("vector", [])]

    client.query_samples("q", start=T, end=T + 9, step=timedelta(milliseconds=1500))
    client.query_instant("q", at=datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC))

    assert store.requests[0][2]["step"] == "1.500000000"
    assert store.requests[1][2]["time"] == str(T + 1000)


def test_a_moment_without_a_time_zone_is_refused(client):
    with pytest.raises(ValueError, match="no time zone"):
        client.query("{}", start=datetime(2026, 1, 1))  # noqa: DTZ001


def test_names_that_are_missing_are_none(store, client):
    """The store leaves `data` out where there is nothing."""
    store.answers = [{"status": "success"}]

    assert client.labels() == []


def test_series_are_asked_by_selectors(store, client):
    store.answers = [{"status": "success", "data": [{"app": "a"}]}]

    assert client.series('{app="a"}') == [{"app": "a"}]
    assert store.requests[0][2]["match[]"] == '{app="a"}'


def test_names_of_labels_are_encoded_into_paths(store, client):
    store.answers = [{"status": "success", "data": ["x"]}]

    assert client.label_values("a/b c") == ["x"]
    assert store.requests[0][1] == "/loki/api/v1/label/a%2Fb%20c/values"


def test_an_address_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not an address such as"):
        Client("store:3100")
