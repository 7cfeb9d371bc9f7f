"""Start services in order, stop them in reverse, and say what is not ready."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from loki_py.runtime.logs import logger_of

_log = logger_of("lifecycle")

ReadinessCheck = Callable[[], str | None]
"""Returns why the process can not serve, None where it can."""


class Service(Protocol):
    """Something that runs from `start` to `stop`."""

    async def start(self) -> None:
        """Return when it serves; raise where it never will."""
        ...

    async def stop(self) -> None:
        """Finish what was accepted, then close; called once, after `start`."""
        ...


class State(Enum):
    """The states of a service, by the names that Loki prints."""

    NEW = "New"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    TERMINATED = "Terminated"
    FAILED = "Failed"


@dataclass(slots=True)
class Lifecycle:
    """The services of one process, in the order in which they start.

    Attributes:
        services: name to service; a service may use those before it.
        checks: further reasons not to be ready.
        draining: set when the process was told to stop; it finishes what it
            has and is not ready for more.
    """

    services: Mapping[str, Service]
    checks: Sequence[ReadinessCheck] = ()
    draining: bool = False
    _states: dict[str, State] = field(init=False)

    def __post_init__(self) -> None:
        """Every service is new."""
        self._states = dict.fromkeys(self.services, State.NEW)

    @property
    def states(self) -> Mapping[str, State]:
        """The state of each service."""
        return self._states

    @property
    def is_running(self) -> bool:
        """Whether every service runs and none was told to stop."""
        return not self.draining and all(
            state is State.RUNNING for state in self._states.values()
        )

    async def start(self) -> None:
        """Start every service in order; the first that fails ends it.

        Raises: what the failing service raised; those started before it run.
        """
        for name, service in self.services.items():
            self._states[name] = State.STARTING
            try:
                await service.start()
            except BaseException:
                self._states[name] = State.FAILED
                raise
            self._states[name] = State.RUNNING
            _log.debug("service runs", service=name)

    async def stop(self) -> None:
        """Stop what runs, last started first; one failure stops no other.

        Raises: the first failure, after every service was asked to stop.
        """
        self.draining = True
        failures: list[Exception] = []
        for name, service in reversed(list(self.services.items())):
            if self._states[name] is not State.RUNNING:
                continue
            self._states[name] = State.STOPPING
            try:
                await service.stop()
            except Exception as error:  # noqa: BLE001  # raised again below
                _log.exception("service did not stop cleanly", service=name)
                self._states[name] = State.FAILED
                failures.append(error)
            else:
                self._states[name] = State.TERMINATED
        if failures:
            raise failures[0]

    def reason_not_ready(self) -> str | None:
        """Return why the process should get no requests, None where it should."""
        if self.draining:
            return "Application is stopping"
        if not self.is_running:
            counts = Counter(state.value for state in self._states.values())
            told = "".join(f"{name}: {count}\n" for name, count in counts.items())
            return f"Some services are not Running:\n{told}"
        for check in self.checks:
            if reason := check():
                return reason
        return None
