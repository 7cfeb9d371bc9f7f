"""Per-tenant limits from files that are read again while the process runs.

Owns one task. A file that can not be read or understood changes nothing: the
last good limits stay in force, and the metric and the log say so.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from loki_py.config.limits import Limits, parse_overrides
from loki_py.errors import ConfigInvalid
from loki_py.runtime.logs import logger_of
from loki_py.runtime.reloading import failure_text
from loki_py.runtime.tasks import end_task

UNHEEDED = "limit is not heeded as in Loki"

_log = logger_of("overrides")


class FileOverrides:
    """The limits in force: defaults, and what the files say per tenant.

    Where several files name a tenant, the last one wins. A tenant's `Limits`
    stay the same object until a file's text changes.

    Args:
        paths: none means that every tenant has the defaults.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        defaults: Limits,
        *,
        period_ns: int,
        registry: CollectorRegistry,
    ) -> None:
        self.defaults = defaults
        self._paths = tuple(paths)
        self._period_s = period_ns / 1e9
        self._texts: tuple[str, ...] = ()
        self._tenants: Mapping[str, Limits] = {}
        self._task: asyncio.Task[None] | None = None
        self._succeeded = Gauge(
            "loki_runtime_config_last_reload_successful",
            "Whether the last runtime-config reload attempt was successful.",
            registry=registry,
        )

    def limits_of(self, tenant: str) -> Limits:
        """Return the tenant's limits, the defaults where it has none."""
        return self._tenants.get(tenant, self.defaults)

    @property
    def tenants(self) -> Mapping[str, Limits]:
        """The tenants that have limits of their own."""
        return self._tenants

    def load(self) -> None:
        """Read the files and put their limits in force, all or none.

        Raises: ConfigInvalid, naming the file. Whatever is raised, the metric says 0.
        """
        try:
            texts = tuple(self._read(path) for path in self._paths)
            if texts != self._texts:
                self._tenants = self._parse(texts)
                self._texts = texts
                _tell_remarks(self._tenants)
        except Exception:
            self._succeeded.set(0)
            raise
        self._succeeded.set(1)

    async def start(self) -> None:
        """Read the files once, then again every period.

        Raises: ConfigInvalid where the first reading fails.
        """
        for name, remark in self.defaults.remarks().items():
            _log.warning(UNHEEDED, key=f"limits_config.{name}", why=remark)
        self.load()
        if self._paths:
            self._task = asyncio.create_task(self._reload_forever())

    async def stop(self) -> None:
        """Read no more; the limits stay in force."""
        task, self._task = self._task, None
        await end_task(task)

    async def _reload_forever(self) -> None:
        while True:
            await asyncio.sleep(self._period_s)
            try:
                self.load()
            except Exception as error:  # noqa: BLE001  # told; the next file may be good
                _log.error("overrides are not reloaded", error=failure_text(error))

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigInvalid(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise ConfigInvalid(f"{path}: {error}") from None

    def _parse(self, texts: Sequence[str]) -> Mapping[str, Limits]:
        tenants: dict[str, Limits] = {}
        for path, text in zip(self._paths, texts, strict=True):
            try:
                tenants.update(parse_overrides(text, self.defaults))
            except ValueError as error:
                raise ConfigInvalid(f"{path}: {error}") from None
        return tenants


def _tell_remarks(tenants: Mapping[str, Limits]) -> None:
    """Tell, once for each limit, of those that do less than in Loki."""
    tenants_of: dict[tuple[str, str], list[str]] = {}
    for tenant, limits in tenants.items():
        for remark in limits.remarks().items():
            tenants_of.setdefault(remark, []).append(tenant)
    for (limit, why), names in tenants_of.items():
        key = f"overrides.{names[0]}.{limit}"
        _log.warning(UNHEEDED, key=key, why=why, tenants=len(names))
