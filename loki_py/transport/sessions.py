"""Selections that are being read by others: units kept until they are read.

Used on one event loop. A session ends when its reader says so, when it was not
read for a while, or when there are too many: then reading it fails, and the
reader asks again.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from loki_py.errors import TenantInvalid, Unavailable
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Scan, ScanUnit
from loki_py.model.shares import Share, Spans, shared
from loki_py.runtime.clock import Clock

SESSIONS_MAX = 4_096
IDLE_NS_MAX = 120_000_000_000


class SessionGone(Unavailable):
    """The session is not known: it ended, or the process started anew."""


SHARES_MAX = 4
"""Shares whose units a session keeps; a reader has two."""

ShareKey = tuple[Spans, bytes]

Distinct = Callable[[Sequence[ScanUnit]], Sequence[ScanUnit]]
"""From units to as many that hold no entry twice; blocking."""


@dataclass(slots=True)
class Session:
    """What one reader may read.

    Attributes:
        streams: the label sets that its units refer to.
    """

    tenant: str
    scan: Scan
    units: Sequence[ScanUnit]
    streams: Sequence[LabelSet]
    used_ns: int
    _shares: dict[ShareKey, Mapping[int, ScanUnit]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def shared(
        self, share: Share, key: ShareKey, make: Distinct
    ) -> Mapping[int, ScanUnit]:
        """Return the units' shares, which hold no entry twice, by number.

        Blocking; made once. Units without a row in the share are not there.
        """
        with self._lock:
            found = self._shares.get(key)
            if found is None:
                cut = (
                    self.units
                    if share.is_whole
                    else [shared(unit, share) for unit in self.units]
                )
                numbers = [n for n, unit in enumerate(cut) if unit is not None]
                units = make([unit for unit in cut if unit is not None])
                found = dict(zip(numbers, units, strict=True))
                if len(self._shares) >= SHARES_MAX:
                    self._shares.clear()
                self._shares[key] = found
            return found


class Sessions:
    """All sessions of this process, longest unused first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(
        self,
        tenant: str,
        scan: Scan,
        units: Sequence[ScanUnit],
        streams: Sequence[LabelSet],
    ) -> str:
        """Keep the units; return the name to read them by."""
        now_ns = self._clock.monotonic_ns()
        self._drop_idle(now_ns)
        name = secrets.token_hex(8)
        self._sessions[name] = Session(tenant, scan, units, streams, now_ns)
        return name

    def find(self, tenant: str, name: str) -> Session:
        """Return the session.

        Raises: SessionGone; TenantInvalid where it is another tenant's.
        """
        session = self._sessions.get(name)
        if session is None:
            raise SessionGone(f"no session {name}; ask again")
        if session.tenant != tenant:
            raise TenantInvalid(f"session {name} is not of tenant {tenant}")
        session.used_ns = self._clock.monotonic_ns()
        self._sessions.move_to_end(name)
        return session

    def release(self, name: str) -> None:
        """Forget the session, if it is there."""
        self._sessions.pop(name, None)

    def _drop_idle(self, now_ns: int) -> None:
        while self._sessions:
            name, oldest = next(iter(self._sessions.items()))
            is_idle = now_ns - oldest.used_ns > IDLE_NS_MAX
            if not is_idle and len(self._sessions) < SESSIONS_MAX:
                return
            del self._sessions[name]
