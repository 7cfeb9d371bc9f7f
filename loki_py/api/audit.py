"""The audit log: who asked the process to do what, and what became of it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from loki_py.config.units import print_time
from loki_py.runtime.clock import Clock, SystemClock
from loki_py.runtime.logs import Throttle, logger_of

_log = logger_of("audit")
_MODE = 0o640


class AdminCall(msgspec.Struct, kw_only=True):
    """One line of the log; names are what people search for.

    Attributes:
        who: the name of a token, the subject of a JWT, or `anonymous`.
        client: the address that the request came from.
        query: what stood behind the `?`.
    """

    who: str
    client: str
    method: str
    route: str
    query: str
    tenant: str
    status: int
    time: str = ""


_TOLD = tuple(name for name in AdminCall.__struct_fields__ if name != "time")
"""What an event of our own log says; its time is there anyway."""


@dataclass(frozen=True, slots=True)
class AuditLog:
    """Takes admin calls, and requests that were refused.

    Attributes:
        file: JSON lines are appended here; empty: events of our own log, at
            the level `warn` so that few levels hide them.
    """

    file: str = ""
    clock: Clock = field(default_factory=SystemClock)
    throttle: Throttle = field(default_factory=Throttle)

    def note(self, call: AdminCall) -> None:
        """Write down an admin call, whatever came of it."""
        self._note("admin call", call)

    def note_refused(self, call: AdminCall) -> None:
        """Write down a request without the right to it, at most one a second."""
        if self.throttle.take(self.clock.monotonic_ns()) is not None:
            self._note("request without the right to it", call)

    def _note(self, event: str, call: AdminCall) -> None:
        told = {name: getattr(call, name) for name in _TOLD}
        if not self.file:
            _log.warning(event, **told)
            return
        call.time = print_time(self.clock.now_ns())
        try:
            self._append(msgspec.json.encode(call) + b"\n")
        except OSError as error:
            _log.error("audit file refuses", error=str(error), **told)

    def _append(self, line: bytes) -> None:
        # Opened for each call, so that the file may be moved away at any time.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        number = os.open(Path(self.file), flags, _MODE)
        try:
            os.write(number, line)
        finally:
            os.close(number)
