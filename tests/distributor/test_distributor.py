"""Pushes through a distributor: what is stored, and what the client is told."""

import asyncio

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from loki_py.config.limits import Limits, StaticOverrides
from loki_py.distributor.metrics import DistributorMetrics
from loki_py.distributor.service import Distributor
from loki_py.errors import (
    IngestionRateExceeded,
    LimitExceeded,
    RequestRejected,
    Unavailable,
    ValidationFailed,
)
from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.runtime.clock import ManualClock
from loki_py.transport.abc import Discard, PushAnswer
from loki_py.wire.metadata import metadata_columns

NOW_NS = 1_795_210_753_000_000_000  # 2026-11-20T21:39:13Z
HOUR_NS = 3_600_000_000_000


class FakeIngester:
    """Keeps what it is given; refuses what it is told to."""

    def __init__(self):
        self.batches = []
        self.rejected = {}
        self.discards = ()

    async def push(self, tenant, batch):
        self.batches.append((tenant, batch))
        return PushAnswer(self.rejected, self.discards)

    def rows(self):
        """Return (labels, ns, line, metadata without the level) of what is kept."""
        return [
            (
                batch.streams[batch.stream[row]].text,
                int(batch.timestamp_ns[row]),
                batch.line[row].as_py(),
                {
                    name: values[row].as_py()
                    for name, values in batch.metadata.items()
                    if values[row].is_valid and name != "detected_level"
                },
            )
            for _, batch in self.batches
            for row in range(len(batch))
        ]

    def levels(self):
        return [
            level
            for _, batch in self.batches
            for level in batch.metadata["detected_level"].to_pylist()
        ]


class Store:
    """A distributor over a fake ingester and a clock that stands still."""

    def __init__(self, **limits):
        self.ingester = FakeIngester()
        self.clock = ManualClock(NOW_NS)
        self.registry = CollectorRegistry()
        self.distributor = Distributor(
            self.ingester,
            overrides=StaticOverrides(Limits.from_mapping(limits)),
            metrics=DistributorMetrics(self.registry),
            clock=self.clock,
        )

    def push(self, *streams, tenant="t"):
        """Push [(labels, [(ns, line, metadata)])]."""
        asyncio.run(self.distributor.push(tenant, batch_of(*streams)))

    def refusal(self, *streams, tenant="t"):
        """Return (status, text) of a push that is refused."""
        with pytest.raises(RequestRejected) as caught:
            self.push(*streams, tenant=tenant)
        return caught.value.status, str(caught.value)

    def discarded(self, reason):
        return self.registry.get_sample_value(
            "loki_discarded_samples_total",
            {
                "reason": reason,
                "tenant": "t",
                "retention_hours": "0",
                "policy": "",
                "format": "loki",
            },
        )


def batch_of(*streams):
    rows = [
        (index, *row, *({},) * (2 - len(row) + 1))
        for index, (_, entries) in enumerate(streams)
        for row in entries
    ]
    pairs = [
        (row, name, value)
        for row, (_, _, _, metadata) in enumerate(rows)
        for name, value in metadata.items()
    ]
    columns, rest = metadata_columns(
        np.array([pair[0] for pair in pairs], np.int64),
        pa.array([pair[1] for pair in pairs], pa.large_string()),
        pa.array([pair[2] for pair in pairs], pa.large_string()),
        count=len(rows),
    )
    return EntryBatch(
        [
            labels if isinstance(labels, LabelSet) else LabelSet.of(labels)
            for labels, _ in streams
        ],
        np.array([row[0] for row in rows], np.uint32),
        np.array([row[1] for row in rows], np.int64),
        pa.array([row[2] for row in rows], pa.large_string()),
        columns,
        rest,
    )


def test_an_accepted_push_is_stored_with_service_name_and_level():
    store = Store()

    store.push(({"app": "a"}, [(NOW_NS, "level=warn hot", {"trace": "x"})]))

    assert store.ingester.rows() == [
        ('{app="a", service_name="a"}', NOW_NS, "level=warn hot", {"trace": "x"})
    ]
    assert store.ingester.levels() == ["warn"]


def test_a_stream_without_labels_is_of_an_unknown_service():
    store = Store()

    store.push(({}, [(NOW_NS, "x")]))

    assert store.ingester.rows()[0][0] == '{service_name="unknown_service"}'


@pytest.mark.parametrize(
    ("limits", "labels", "entry", "reason", "text"),
    [
        (
            {"discover_service_name": []},
            {},
            (NOW_NS, "x"),
            "missing_labels",
            "error at least one label pair is required per stream",
        ),
        (
            {"max_label_names_per_series": 1},
            {"a": "b", "c": "d"},
            (NOW_NS, "x"),
            "max_label_names_per_series",
            (
                'entry for stream \'{a="b", c="d", service_name="unknown_service"}\' '
                "has 2 label names; limit 1"
            ),
        ),
        (
            {"max_label_name_length": 12},
            {"abcdefghijklm": "b"},
            (NOW_NS, "x"),
            "label_name_too_long",
            (
                'stream \'{abcdefghijklm="b", service_name="unknown_service"}\' has '
                "label name too long: 'abcdefghijklm'"
            ),
        ),
        (
            {"max_label_value_length": 15},
            {"app": "bbbbbbbbbbbbbbbb"},
            (NOW_NS, "x"),
            "label_value_too_long",
            (
                'stream \'{app="bbbbbbbbbbbbbbbb", service_name="bbbbbbbbbbbbbbbb"}\' '
                "has label value too long: 'bbbbbbbbbbbbbbbb'"
            ),
        ),
        (
            {},
            LabelSet((("app", "a"), ("app", "b"))),
            (NOW_NS, "x"),
            "duplicate_label_names",
            (
                'stream \'{app="a", app="b", service_name="b"}\' has duplicate label '
                "name: 'app'"
            ),
        ),
        (
            {},
            {"app": "a"},
            (1_570_818_238_000_000_000, "x"),
            "greater_than_max_sample_age",
            (
                'entry for stream \'{app="a", service_name="a"}\' has '
                "timestamp too old: "
                "2019-10-11T18:23:58Z, oldest acceptable timestamp is: "
                "2026-11-13T21:39:13Z"
            ),
        ),
        (
            {},
            {"app": "a"},
            (NOW_NS + HOUR_NS, "x"),
            "too_far_in_future",
            (
                'entry for stream \'{app="a", service_name="a"}\' has '
                "timestamp too new: "
                "2026-11-20T22:39:13Z"
            ),
        ),
        (
            {},
            {"app": "a"},
            (NOW_NS, "x" * 300_000),
            "line_too_long",
            (
                "max entry size '262144' bytes exceeded for stream "
                '\'{app="a", service_name="a"}\' while adding an entry with length '
                "'300000' bytes"
            ),
        ),
        (
            {"allow_structured_metadata": False},
            {"app": "a"},
            (NOW_NS, "x", {"k": "v"}),
            "disallowed_structured_metadata",
            (
                'stream \'{app="a", service_name="a"}\' includes '
                "structured metadata, but "
                "this feature is disallowed. Please see "
                "`limits_config.allow_structured_metadata` or contact your Loki "
                "administrator to enable it"
            ),
        ),
        (
            {"max_structured_metadata_size": 20},
            {"app": "a"},
            (NOW_NS, "x", {"k": "v" * 30}),
            "structured_metadata_too_large",
            (
                'stream \'{app="a", service_name="a"}\' has structured metadata too '
                "large: '31' bytes, limit: '20' bytes. Please see "
                "`limits_config.max_structured_metadata_size` or contact your Loki "
                "administrator to increase it"
            ),
        ),
        (
            {"max_structured_metadata_entries_count": 2},
            {"app": "a"},
            (NOW_NS, "x", {"a": "1", "b": "2", "c": "3"}),
            "structured_metadata_too_many",
            (
                'stream \'{app="a", service_name="a"}\' has too many structured '
                "metadata labels: '3', limit: '2'. Please see "
                "`limits_config.max_structured_metadata_entries_count` or contact your "
                "Loki administrator to increase it"
            ),
        ),
        (
            {"enforced_labels": ["app", "team"]},
            {"x": "y"},
            (NOW_NS, "x"),
            "missing_enforced_labels",
            (
                "missing required labels 'app,team' for user 't' for stream "
                "'{service_name=\"unknown_service\", x=\"y\"}' (policy: '')"
            ),
        ),
    ],
)
def test_a_broken_rule_is_told_in_lokis_words(limits, labels, entry, reason, text):
    store = Store(**limits)

    assert store.refusal((labels, [entry])) == (400, text)
    assert store.ingester.rows() == []
    assert store.discarded(reason) == 1


def test_the_rest_of_a_push_is_stored_though_it_is_answered_400():
    store = Store(max_line_size=5)

    status, text = store.refusal(
        ({"app": "a"}, [(NOW_NS, "long line"), (NOW_NS, "short")]),
        ({"app": "b"}, [(NOW_NS, "fine")]),
    )

    assert status == 400
    assert "while adding an entry with length '9' bytes" in text
    assert [row[2] for row in store.ingester.rows()] == ["short", "fine"]


def test_an_ingester_does_not_hear_of_refused_or_empty_streams():
    store = Store(enforced_labels=["app"])

    store.refusal(
        ({"x": "y"}, [(NOW_NS, "no")]),
        ({"app": "empty"}, []),
        ({"app": "b", "level": "warn"}, [(NOW_NS, "fine")]),
    )

    ((_, batch),) = store.ingester.batches
    assert [labels.get("app") for labels in batch.streams] == ["b"]
    assert store.ingester.levels() == ["warn"]


def test_equal_messages_are_counted_and_different_ones_joined():
    store = Store(max_line_size=1)
    stream = '{app="a", service_name="a"}'
    text = "max entry size '1' bytes exceeded for stream '{}' while adding an entry "
    text = text.format(stream) + "with length '%d' bytes"

    _, told = store.refusal(
        ({"app": "a"}, [(NOW_NS, "22"), (NOW_NS, "333"), (NOW_NS, "22")])
    )

    assert told == f"2 errors like: {text % 2}; 1 errors like: {text % 3}"


def test_an_entry_that_breaks_two_rules_is_refused_once():
    store = Store(max_line_size=1)

    _, text = store.refusal(({"app": "a"}, [(0, "22")]))

    assert "too old" in text
    assert "exceeded" not in text
    assert store.discarded("line_too_long") is None


def test_a_thousand_different_errors_make_a_short_answer():
    store = Store(max_line_size=1)
    entries = [(NOW_NS, "x" * (2 + i)) for i in range(1000)]

    _, text = store.refusal(({"app": "a"}, entries))

    assert text.endswith("; 900 more errors")
    assert store.discarded("line_too_long") == 1000


@pytest.mark.parametrize(("status", "told"), [(260, True), (200, False)])
def test_a_blocked_tenant_stores_nothing(status, told):
    store = Store(
        block_ingestion_until="2040-01-01T00:00:00Z", block_ingestion_status_code=status
    )
    push = ({"app": "a"}, [(NOW_NS, "x")])

    if told:
        assert store.refusal(push, tenant="t") == (
            260,
            (
                "ingestion blocked for user 't' until '2040-01-01T00:00:00Z' with "
                "status code '260'"
            ),
        )
    else:
        store.push(push)
    assert store.ingester.rows() == []
    assert store.discarded("blocked_ingestion") == 1


def test_a_policy_enforces_its_labels_and_blocks_its_streams():
    store = Store(
        policy_stream_mapping={
            "ops": [{"selector": '{app="a"}', "priority": 1}],
            "dev": [{"selector": '{app=~".+"}', "priority": 0}],
        },
        policy_enforced_labels={"ops": ["team"]},
        block_ingestion_policy_until={"dev": "2040-01-01T00:00:00Z"},
    )

    _, missing = store.refusal(({"app": "a"}, [(NOW_NS, "x")]))
    status, blocked = store.refusal(({"app": "b"}, [(NOW_NS, "x")]))

    assert missing.startswith("missing required labels 'team' for user 't'")
    assert missing.endswith("(policy: 'ops')")
    assert (status, blocked[:45]) == (
        260,
        "ingestion blocked for user 't' (policy: 'dev'",
    )
    assert store.ingester.rows() == []


def test_a_push_over_the_rate_is_refused_whole():
    store = Store(ingestion_rate_mb=4, ingestion_burst_size_mb=6)
    lines = [(NOW_NS + i, "x" * 200_000) for i in range(45)]

    assert store.refusal(({"app": "a"}, lines), tenant="ratey") == (
        429,
        (
            "ingestion rate limit exceeded for user ratey (limit: 4194304 bytes/sec) "
            "while attempting to ingest '45' lines totaling '9000000' bytes, reduce "
            "log volume or contact your Loki administrator to see if "
            "the limit can be increased"
        ),
    )
    assert store.ingester.rows() == []


def test_the_bucket_fills_with_time():
    store = Store(ingestion_rate_mb=1, ingestion_burst_size_mb=1)
    push = ({"app": "a"}, [(NOW_NS + i, "x" * 200_000) for i in range(4)])
    store.push(push)

    with pytest.raises(IngestionRateExceeded) as caught:
        store.push(push)
    store.clock.advance(caught.value.retry_after_ns)
    store.push(push)

    assert len(store.ingester.rows()) == 8


def test_long_lines_are_cut_where_the_tenant_wants_it():
    store = Store(
        max_line_size=10,
        max_line_size_truncate=True,
        max_line_size_truncate_identifier="[..]",
    )

    store.push(({"app": "a"}, [(NOW_NS, "0123456789ab"), (NOW_NS, "01234é6789")]))

    assert [row[2] for row in store.ingester.rows()] == ["012345[..]", "01234 [..]"]


def test_equal_times_are_moved_apart_where_the_tenant_wants_it():
    store = Store(increment_duplicate_timestamp=True)

    store.push(
        ({"app": "a"}, [(NOW_NS, line) for line in "abbc"]),
        ({"app": "b"}, [(NOW_NS, "c"), (NOW_NS + 5, "d")]),
    )

    moved = [row[1] - NOW_NS for row in store.ingester.rows()]
    assert moved == [0, 1, 1, 2, 0, 5]


def test_metadata_names_become_label_names():
    store = Store()

    store.push(({"app": "a"}, [(NOW_NS, "x", {"a.b": "1", "9c": "2", "a-b": "3"})]))

    assert store.ingester.rows()[0][3] == {"a_b": "1", "key_9c": "2"}


def test_an_empty_metadata_name_is_refused():
    store = Store()

    assert store.refusal(({"app": "a"}, [(NOW_NS, "x", {"": "1"})])) == (
        400,
        "label name is empty",
    )


def test_label_set_that_stands_twice_is_sent_twice():
    """Each place is answered for itself; the ingester makes one stream of them."""
    store = Store()

    store.push(({"app": "a"}, [(NOW_NS, "x")]), ({"app": "a"}, [(NOW_NS, "y")]))

    (_, batch) = store.ingester.batches[0]
    assert batch.streams[0] == batch.streams[1]
    assert batch.stream.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "metadata", "level"),
    [
        ({"level": "WARNING"}, {}, "warn"),
        ({"level": "odd"}, {"level": "error"}, "odd"),
        ({"app": "a"}, {"severity": "err"}, "error"),
        ({"app": "a"}, {"severity_number": "17"}, "error"),
        ({"severity_number": "5"}, {"level": "error"}, "error"),
        ({"severity_number": "13"}, {}, "warn"),
        ({"app": "a"}, {"detected_level": "FATAL", "level": "info"}, "fatal"),
        ({"app": "a"}, {"other": "info"}, "debug"),
    ],
)
def test_a_level_that_is_given_needs_no_look_at_the_line(labels, metadata, level):
    store = Store()

    store.push((labels, [(NOW_NS, "level=debug", metadata)]))

    assert store.ingester.levels() == [level]


def test_no_level_is_discovered_where_the_tenant_does_not_want_it():
    store = Store(discover_log_levels=False)

    store.push(({"app": "a"}, [(NOW_NS, "level=debug")]))

    assert not store.ingester.batches[0][1].metadata


def test_what_an_ingester_refuses_is_told():
    store = Store()
    store.ingester.rejected = {0: LimitExceeded("slow down"), 1: ValidationFailed("no")}
    push = [({"app": app}, [(NOW_NS, "x")]) for app in "abc"]

    assert store.refusal(*push) == (
        429,
        "1 errors like: slow down; 1 errors like: no",
    )


def test_refusal_says_how_many_entries_and_how_many_are_stored():
    """Whether a push was refused in whole decides if some senders try again."""
    store = Store(reject_old_samples=True)
    two_of_three = [(NOW_NS, "new"), (1, "old"), (2, "old")]
    with pytest.raises(RequestRejected) as by_rule:
        store.push(({"app": "a"}, two_of_three))
    store.ingester.rejected = {0: ValidationFailed("no")}
    store.ingester.discards = (Discard("no", 1, 3),)
    with pytest.raises(RequestRejected) as by_ingester:
        store.push(({"app": "a"}, two_of_three))

    counts = [
        (caught.value.entries_refused, caught.value.entries_stored)
        for caught in (by_rule, by_ingester)
    ]
    assert counts == [(2, 1), (3, 0)]


def test_trouble_of_an_ingester_is_ours_and_may_be_tried_again():
    store = Store()
    store.ingester.rejected = {0: LimitExceeded("slow"), 1: Unavailable("disk")}

    with pytest.raises(Unavailable, match="disk"):
        store.push(*[({"app": app}, [(NOW_NS, "x")]) for app in "ab"])


def test_a_push_without_entries_is_fine_and_stores_nothing():
    store = Store()

    store.push(({"app": "a"}, []))

    assert store.ingester.batches == []


def test_changed_limits_count_for_streams_seen_before():
    store = Store()
    store.push(({"app": "a"}, [(NOW_NS, "x")]))
    store.distributor._overrides = StaticOverrides(
        Limits.from_mapping({"enforced_labels": ["team"]})
    )

    status, text = store.refusal(({"app": "a"}, [(NOW_NS, "x")]))

    assert (status, text[:30]) == (400, "missing required labels 'team'")


def test_what_is_received_is_counted_before_validation():
    store = Store(max_line_size=5)

    store.refusal(({"app": "a"}, [(NOW_NS, "123456", {"k": "v"}), (NOW_NS, "x")]))

    labels = {"tenant": "t", "retention_hours": "0", "format": "loki"}
    received = {
        name: store.registry.get_sample_value(f"loki_distributor_{name}_total", labels)
        for name in ("lines_received", "bytes_received")
    }
    assert received == {"lines_received": 2, "bytes_received": 9}


@pytest.mark.parametrize(
    ("push_format", "shown"),
    [("json", "loki"), ("protobuf", "loki"), ("otlp", "otlp")],
)
def test_what_the_ingester_refused_is_counted(push_format, shown):
    store = Store()
    store.ingester.discards = (Discard("stream_limit", 3, 70),)
    batch = batch_of(({"app": "a"}, [(NOW_NS, "x")]))

    asyncio.run(store.distributor.push("t", batch, push_format=push_format))

    labels = {
        "reason": "stream_limit",
        "tenant": "t",
        "retention_hours": "0",
        "policy": "",
        "format": shown,
    }
    counted = [
        store.registry.get_sample_value(f"loki_discarded_{unit}_total", labels)
        for unit in ("samples", "bytes")
    ]
    assert counted == [3, 70]
