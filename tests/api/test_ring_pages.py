"""The ring's page: states, ages and shares, for people and for programs."""

import json

from fakes.rings import NS_PER_S, instance, ring_of

from loki_py.api.ring_pages import ring_html, ring_json
from loki_py.ring.desc import InstanceState

TIMEOUT_NS = 60 * NS_PER_S
NOW_NS = 1_700_000_000 * NS_PER_S
RING = ring_of(
    instance("a", tokens=[2**30], seen_s=95, zone="x"),
    instance("b<i>", tokens=[2**32 - 1], seen_s=1, state=InstanceState.LEAVING),
    as_of_s=100,
)


def test_json_has_the_fields_of_lokis_page_and_shares():
    answer = json.loads(ring_json(RING, heartbeat_ns_max=TIMEOUT_NS, now_ns=NOW_NS))

    assert answer["now"] == "2023-11-14T22:13:20Z"
    assert answer["shards"][0] == {
        "id": "a",
        "state": "ACTIVE",
        "address": "a:9095",
        "timestamp": "1970-01-01T00:00:00Z",
        "registered_timestamp": "1970-01-01T00:00:00Z",
        "zone": "x",
        "tokens": [2**30],
        "heartbeat_age_ms": 5_000,
        "ownership": 0.25,
    }


def test_old_heartbeat_is_shown_as_unhealthy():
    answer = json.loads(ring_json(RING, heartbeat_ns_max=TIMEOUT_NS, now_ns=NOW_NS))

    assert [member["state"] for member in answer["shards"]] == ["ACTIVE", "UNHEALTHY"]


def page(**options):
    return ring_html(
        RING, title="Ring", heartbeat_ns_max=TIMEOUT_NS, now_ns=NOW_NS, **options
    )


def test_page_shows_ages_shares_and_a_button_for_who_is_not_well():
    html = page()

    assert "<td>5s</td>" in html
    assert "<td>25.00%</td>" in html
    assert html.count("name=forget") == 1


def test_names_can_not_break_the_page():
    assert "<i>" not in page()
    assert 'value="b&lt;i&gt;"' in page()


def test_page_says_when_it_is_not_the_present():
    assert "out of reach" in page(store_is_away=True)
    assert "out of reach" not in page()
