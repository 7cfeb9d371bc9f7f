"""Where objects lie in the bucket: keys from their parts.

    <tenant>/packs/<yyyy-mm-dd>/<ulid>-<writer>.parquet
    <tenant>/index/<yyyy-mm-dd>/<ulid>-<writer>.parquet
    <tenant>/patterns/<yyyy-mm-dd>/<ulid>-<writer>.parquet

Tenant and writer are percent-encoded, so that neither can add a part or hide
one. The day is the one on which the object was written (UTC), that of patterns
the one that they are about. Keys of one kind, tenant and day ascend with the
time they were made.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

ObjectKind = Literal["packs", "index", "patterns"]

ULID_RANDOM_BYTES = 10
_ULID_CHARS = 26
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SUFFIX = ".parquet"


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """The parts of a key.

    Attributes:
        day: yyyy-mm-dd.
        ulid: 26 characters; sorts by the millisecond it was made in.
        writer: the instance that wrote the object.
    """

    tenant: str
    kind: ObjectKind
    day: str
    ulid: str
    writer: str

    @property
    def text(self) -> str:
        """The key itself."""
        name = f"{self.ulid}-{_part_of(self.writer)}{_SUFFIX}"
        return f"{prefix_of(self.tenant, self.kind)}{self.day}/{name}"


def pack_key(tenant: str, *, now_ns: int, ulid: str, writer: str) -> str:
    """Return the key of a pack that is written now."""
    return ObjectKey(tenant, "packs", _day_of(now_ns), ulid, writer).text


def index_key(tenant: str, *, now_ns: int, ulid: str, writer: str) -> str:
    """Return the key of an index file that is written now."""
    return ObjectKey(tenant, "index", _day_of(now_ns), ulid, writer).text


def pattern_key(tenant: str, *, about_ns: int, ulid: str, writer: str) -> str:
    """Return the key of an object with patterns of the day of `about_ns`."""
    return ObjectKey(tenant, "patterns", _day_of(about_ns), ulid, writer).text


def pattern_day_prefix(tenant: str, *, about_ns: int) -> str:
    """Return what all keys of the patterns of one day, and no others, start with."""
    return f"{prefix_of(tenant, 'patterns')}{_day_of(about_ns)}/"


def prefix_of(tenant: str, kind: ObjectKind) -> str:
    """Return what all keys of the tenant and kind, and no others, start with."""
    return f"{_part_of(tenant)}/{kind}/"


def ulid_of(now_ns: int, random: bytes) -> str:
    """Return an id that sorts by time: 48 bits of milliseconds, 80 random bits.

    Source: the ULID specification.
    """
    assert len(random) == ULID_RANDOM_BYTES
    assert 0 <= now_ns // 1_000_000 < 1 << 48
    number = (now_ns // 1_000_000) << 80 | int.from_bytes(random, "big")
    places = range(5 * (_ULID_CHARS - 1), -1, -5)
    return "".join(_CROCKFORD[number >> place & 31] for place in places)


def _day_of(now_ns: int) -> str:
    return datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).date().isoformat()


def _part_of(name: str) -> str:
    """Return the name as one part of a key; never empty, never dotted in front."""
    assert name
    part = quote(name, safe="")
    return "%2E" + part[1:] if part.startswith(".") else part
