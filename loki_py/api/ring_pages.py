"""`/ring` for people and for programs: who is in a ring, and what each owns.

Pure: a snapshot in, a page or JSON out. The JSON has the fields that Loki's
page answers to `Accept: application/json`, and ours beside them.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

import msgspec

from loki_py.config.units import print_duration, print_time
from loki_py.ring.desc import InstanceDesc, InstanceState, RingDesc
from loki_py.ring.tokens import shares_of

UNHEALTHY = "UNHEALTHY"
ACTIVE = InstanceState.ACTIVE.value
_NS_PER_MS = 1_000_000
_COLUMNS = (
    "Instance",
    "Zone",
    "State",
    "Address",
    "Registered",
    "Heartbeat age",
    "Tokens",
    "Share",
    "",
)
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:64em;"
    "padding:0 1em}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{padding:.3em .8em .3em 0;text-align:left;border-bottom:1px solid #8884}"
    ".UNHEALTHY{background:#f003}.LEAVING,.JOINING,.PENDING{background:#fd03}"
    "p{max-width:46em}"
)
_FORGET = (
    "<p><b>Forget</b> takes out an instance that is gone for good, its disk with"
    " it: it is not missed any more. One that still runs registers again.</p>"
)


class RingMember(msgspec.Struct):
    """One instance, as a program reads it; names are the API.

    Attributes:
        ownership: the part of all streams of which it is the first owner.
    """

    id: str
    state: str
    address: str
    timestamp: str
    registered_timestamp: str
    zone: str
    tokens: Sequence[int]
    heartbeat_age_ms: int
    ownership: float


class RingAnswer(msgspec.Struct):
    """A ring, as a program reads it."""

    shards: list[RingMember]
    now: str


def members_of(ring: RingDesc, *, heartbeat_ns_max: int) -> list[RingMember]:
    """Return the instances by id; those with an old heartbeat as UNHEALTHY."""
    shares = shares_of({n: i.tokens for n, i in ring.instances.items()})
    return [
        _member_of(ring, ring.instances[name], shares[name], heartbeat_ns_max)
        for name in sorted(ring.instances)
    ]


def ring_json(ring: RingDesc, *, heartbeat_ns_max: int, now_ns: int) -> bytes:
    """Return the ring as JSON."""
    members = members_of(ring, heartbeat_ns_max=heartbeat_ns_max)
    return msgspec.json.encode(RingAnswer(members, print_time(now_ns)))


def ring_html(
    ring: RingDesc,
    *,
    title: str,
    heartbeat_ns_max: int,
    now_ns: int,
    store_is_away: bool = False,
) -> str:
    """Return the page. Its buttons post `forget=<instance id>` to itself.

    Who is ACTIVE has none: it would be back with its next heartbeat.
    """
    members = members_of(ring, heartbeat_ns_max=heartbeat_ns_max)
    count = f"{len(members)} instance{'' if len(members) == 1 else 's'}"
    heads = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    rows = "".join(_row_of(member) for member in members)
    away = (
        "<p><b>The key-value store is out of reach; this is the last that was"
        " heard.</b></p>"
        if store_is_away
        else ""
    )
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{count} at "
        f"{print_time(now_ns)}</p>{away}"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        f"{_FORGET if 'name=forget' in rows else ''}</body></html>"
    )


def _member_of(
    ring: RingDesc, instance: InstanceDesc, share: float, heartbeat_ns_max: int
) -> RingMember:
    healthy = ring.is_healthy(instance.instance_id, heartbeat_ns_max=heartbeat_ns_max)
    return RingMember(
        id=instance.instance_id,
        state=instance.state.value if healthy else UNHEALTHY,
        address=instance.address,
        timestamp=print_time(instance.heartbeat_ns),
        registered_timestamp=print_time(instance.registered_ns),
        zone=instance.zone,
        tokens=instance.tokens,
        heartbeat_age_ms=(ring.as_of_ns - instance.seen_ns) // _NS_PER_MS,
        ownership=round(share, 6),
    )


def _row_of(member: RingMember) -> str:
    name = escape(member.id)
    button = f'<form method=post><button name=forget value="{name}">Forget</button>'
    cells: tuple[Any, ...] = (
        name,
        escape(member.zone),
        member.state,
        escape(member.address),
        member.registered_timestamp,
        print_duration(member.heartbeat_age_ms * _NS_PER_MS),
        len(member.tokens),
        f"{member.ownership:.2%}",
        "" if member.state == ACTIVE else f"{button}</form>",
    )
    told = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr class={member.state}>{told}</tr>"
