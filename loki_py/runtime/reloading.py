"""Files that are looked at again and again while the process runs."""

import asyncio
import traceback
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge

from loki_py.errors import ConfigInvalid
from loki_py.runtime.logs import logger_of
from loki_py.runtime.tasks import end_task

_log = logger_of("reloading")


def failure_text(error: Exception) -> str:
    """Return what the log says of a file that was not loaded.

    Of a failure that was not foreseen only its kind and place: its text may hold
    what stands in the file.
    """
    if isinstance(error, ConfigInvalid):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {frame.filename}:{frame.lineno}"


class Reloader:
    """Calls each `load` at the start and then every period; owns one task.

    A `load` that raises ends the start; later it changes nothing, and the metric
    and the log say so.
    """

    def __init__(
        self,
        loads: Mapping[str, Callable[[], None]],
        *,
        period_ns: int,
        registry: CollectorRegistry,
    ) -> None:
        self._loads = loads
        self._period_s = period_ns / 1e9
        self._task: asyncio.Task[None] | None = None
        self._succeeded = Gauge(
            "loki_py_reload_successful",
            "Whether the last reading of the files was successful.",
            ("what",),
            registry=registry,
        )

    async def start(self) -> None:
        """Load everything once, then again every period.

        Raises: ConfigInvalid where the first loading fails.
        """
        for what, load in self._loads.items():
            self._load(what, load)
        if self._loads:
            self._task = asyncio.create_task(self._reload_forever())

    async def stop(self) -> None:
        """Load no more."""
        task, self._task = self._task, None
        await end_task(task)

    def reload(self) -> None:
        """Load everything once more; failures are told, not raised."""
        for what, load in self._loads.items():
            try:
                self._load(what, load)
            except Exception as error:  # noqa: BLE001  # told; the next file may be good
                _log.error("not reloaded", what=what, error=failure_text(error))

    def _load(self, what: str, load: Callable[[], None]) -> None:
        try:
            load()
        except Exception:
            self._succeeded.labels(what).set(0)
            raise
        self._succeeded.labels(what).set(1)

    async def _reload_forever(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            self.reload()
