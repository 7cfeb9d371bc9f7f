"""What a tenant may ask: every limit refuses with Loki's text."""

import pytest

from loki_py.config.limits import Limits
from loki_py.errors import RequestRejected
from loki_py.logql.parser import parse
from loki_py.querier import limits as rules
from loki_py.querier.texts import size_text

S = 1_000_000_000
RATE = 'sum(rate({app="a"}[20m])) / sum(rate({env="b"}[5m] offset 1h))'


def check(query, *, tags=None, **given):
    rules.check_query(Limits.from_mapping(given), query, parse(query), tags=tags or {})


def refusal(call, *args, **given):
    with pytest.raises(RequestRejected) as caught:
        call(*args, **given)
    assert caught.value.status == 400
    return str(caught.value)


def test_a_query_within_all_limits_is_accepted():
    check(RATE)


def test_too_long_a_time_names_both_lengths():
    message = refusal(rules.check_length, Limits(), 248_910_642_380_000_000)

    assert message == (
        "the query time range exceeds the limit (query length: 69141h50m42.38s,"
        " limit: 30d1h)"
    )


def test_the_length_of_a_metric_query_includes_range_and_offset():
    assert rules.reach_ns_of(parse(RATE)) == 65 * 60 * S


def test_too_many_entries_are_refused():
    assert refusal(rules.check_entries, Limits(), 6000) == (
        "max entries limit per query exceeded, limit > max_entries_limit_per_query"
        " (6000 > 5000)"
    )


def test_too_long_a_range_is_refused():
    assert refusal(check, RATE, max_query_range="10m") == (
        "[interval] value exceeds limit: [20m] > [10m]"
    )


def test_a_missing_required_label_is_named():
    message = refusal(check, '{app="a"} |= "x"', required_labels=["team"])

    assert message == (
        "stream selector is missing required matchers [team], labels present in the"
        " query were [app]"
    )


def test_every_selector_of_a_metric_query_needs_the_required_labels():
    assert "[env]" in refusal(check, RATE, required_labels=["app"])


def test_too_few_matchers_are_counted():
    assert refusal(check, '{app="a"}', minimum_labels_number=2) == (
        "stream selector has less label matchers than required: (present: [app],"
        " number_present: 1, required_number_label_matchers: 2)"
    )


def test_too_many_matchers_are_counted():
    assert refusal(check, RATE, max_streams_matchers_per_query=1) == (
        "max streams matchers per query exceeded, matchers-count > limit (2 > 1)"
    )


def test_too_many_bytes_are_refused():
    limits = Limits.from_mapping({"max_query_bytes_read": "1GB"})

    assert refusal(rules.check_bytes, limits, 3 << 30) == (
        "the query would read too many bytes (query: 3.0 GiB, limit: 1.0 GiB);"
        " consider adding more specific stream selectors or reduce the time range"
        " of the query"
    )


@pytest.mark.parametrize(
    ("size", "text"),
    [(9, "9 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (150 << 30, "150 GiB")],
)
def test_sizes_print_with_one_decimal_below_ten(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    "blocked",
    [
        {"pattern": ' {app="a"} '},
        {"pattern": ".*app.*", "regex": True},
        {"pattern": ""},
        {"hash": rules.hash_of('{app="a"}')},
        {"types": ["limited"]},
        {"tags": "Source=grafana"},
    ],
)
def test_a_blocked_query_is_refused(blocked):
    message = refusal(
        check, '{app="a"}', blocked_queries=[blocked], tags={"source": "Grafana"}
    )

    assert message == "query blocked by policy"


@pytest.mark.parametrize(
    "blocked",
    [
        {"pattern": '{app="b"}'},
        {"pattern": "app"},
        {"hash": 1},
        {"types": ["metric", "filter"]},
        {"tags": "source=other"},
    ],
)
def test_a_query_that_no_entry_names_runs(blocked):
    check('{app="a"}', blocked_queries=[blocked], tags={"source": "grafana"})


def test_the_hash_of_a_query_is_fnv_1():
    assert rules.hash_of("a") == 0x050C5D7E


def test_time_before_the_lookback_is_cut_off():
    limits = Limits.from_mapping({"max_query_lookback": "1h"})
    now = 10_000 * S

    span = rules.clamped_span(limits, start_ns=0, end_ns=now, now_ns=now)

    assert span == rules.Span(now - 3_600 * S, now)
    assert rules.clamped_span(limits, start_ns=0, end_ns=S, now_ns=now) is None


def test_metadata_before_the_lookback_is_gone():
    limits = Limits.from_mapping({"max_query_lookback": "1h"})

    assert (
        refusal(rules.metadata_span, limits, start_ns=0, end_ns=S, now_ns=10_000 * S)
        == "this data is no longer available, it is past now - max_query_lookback (1h)"
    )


def test_reversed_metadata_times_read_as_gone_data():
    """Loki has one text for both."""
    assert (
        refusal(rules.metadata_span, Limits(), start_ns=2, end_ns=1, now_ns=10)
        == "this data is no longer available, it is past now - max_query_lookback (0s)"
    )


@pytest.mark.parametrize(
    "name", ["max_query_parallelism", "tsdb_max_query_parallelism"]
)
def test_a_tenant_without_parallelism_may_not_query(name):
    with pytest.raises(RequestRejected, match="querying is disabled") as caught:
        check(RATE, **{name: 0})

    assert caught.value.status == 429
