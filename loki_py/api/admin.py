"""Routes about the process itself: ready, metrics, config, flush, log level."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import yaml
from prometheus_client import CollectorRegistry, generate_latest

from loki_py.api.answers import NO_CONTENT, PLAIN_HEADERS, Answer, Asked
from loki_py.api.encode import encode_json
from loki_py.config.dump import Mode, print_config
from loki_py.config.limits import Overrides
from loki_py.config.schema import Config
from loki_py.errors import ValidationFailed
from loki_py.runtime.lifecycle import Lifecycle
from loki_py.runtime.logs import LogLevel

_METRICS_HEADERS = (("content-type", "text/plain; version=0.0.4; charset=utf-8"),)
_MODES: Mapping[str, Mode] = {"": "", "diff": "diff", "defaults": "defaults"}


@dataclass(frozen=True, slots=True)
class Process:
    """What the process tells of itself.

    Attributes:
        flush: writes everything held to object storage.
    """

    config: Config
    version: str
    registry: CollectorRegistry
    lifecycle: Lifecycle
    log_level: LogLevel
    overrides: Overrides
    flush: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AdminRoutes:
    """Handlers over the process."""

    process: Process

    async def ready(self, _asked: Asked) -> Answer:
        """Answer 200 where requests are welcome, else 503 and why not."""
        reason = self.process.lifecycle.reason_not_ready()
        if reason is None:
            return _text("ready\n")
        return _text(reason, status=503)

    async def metrics(self, _asked: Asked) -> Answer:
        """Answer with the metrics in Prometheus' text format."""
        return Answer(generate_latest(self.process.registry), _METRICS_HEADERS)

    async def services(self, _asked: Asked) -> Answer:
        """Answer with the state of each service."""
        states = self.process.lifecycle.states
        return _text("".join(f"{n} => {s.value}\n" for n, s in states.items()))

    async def config(self, asked: Asked) -> Answer:
        """Answer with the settings in force, the defaults, or the difference."""
        return _text(print_config(self.process.config, mode=_mode_of(asked)))

    async def runtime_config(self, asked: Asked) -> Answer:
        """Answer with the limits of tenants that have their own."""
        mode = _mode_of(asked)
        overrides = self.process.overrides
        defaults = overrides.defaults.to_mapping()
        shown = {} if mode == "defaults" else overrides.tenants
        limits = {name: each.to_mapping() for name, each in shown.items()}
        if mode == "diff":
            limits = {
                tenant: {k: v for k, v in own.items() if v != defaults[k]}
                for tenant, own in limits.items()
            }
        return _text(yaml.safe_dump({"overrides": limits}, sort_keys=False))

    async def tenant_limits(self, asked: Asked) -> Answer:
        """Answer with the limits in force for the tenant."""
        limits = self.process.overrides.limits_of(asked.tenant).to_mapping()
        return _text(yaml.safe_dump(limits, sort_keys=False, allow_unicode=True))

    async def log_level(self, asked: Asked) -> Answer:
        """Tell the log level; change it where the request is a POST."""
        level = self.process.log_level
        if asked.method == "GET":
            return Answer(
                encode_json({"message": f"Current log level is {level.name}"})
            )
        wanted = asked.form.get("log_level")
        try:
            level.set(wanted)
        except ValueError as error:
            body = encode_json({"status": "failed", "message": str(error)})
            return Answer(body, status=400)
        told = {"status": "success", "message": f"Log level set to {wanted}"}
        return Answer(encode_json(told))

    async def build_info(self, _asked: Asked) -> Answer:
        """Answer with the version, in the shape that Grafana asks for."""
        told = dict.fromkeys(
            ("version", "revision", "branch", "buildUser", "buildDate", "goVersion"),
            "",
        )
        return Answer(encode_json({**told, "version": self.process.version}))

    async def flush(self, _asked: Asked) -> Answer:
        """Answer when everything that was held is in object storage."""
        await self.process.flush()
        return NO_CONTENT


def _mode_of(asked: Asked) -> Mode:
    wanted = asked.form.get("mode")
    mode = _MODES.get(wanted)
    if mode is None:
        raise ValidationFailed(f'unknown mode "{wanted}"; it is diff or defaults')
    return mode


def _text(text: str, *, status: int = 200) -> Answer:
    return Answer(text.encode(), PLAIN_HEADERS, status)
