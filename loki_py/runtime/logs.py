"""Our own logs: one event a line, logfmt or JSON, to standard error."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_KEY_ORDER = ["ts", "level", "component", "msg"]


def _uncounted(_level: str) -> None:
    """Count nothing."""


@dataclass(slots=True)
class LogLevel:
    """The level below which events are dropped; may be changed while running.

    Attributes:
        count: is told the level of each event that is not dropped.
    """

    name: str = "info"
    count: Callable[[str], None] = _uncounted

    def set(self, name: str) -> None:
        """Drop events below `name` from now on.

        Raises: ValueError, with the text that Loki answers.
        """
        if name not in LEVELS:
            raise ValueError(f'unrecognized log level "{name}"')
        self.name = name

    def __call__(self, _logger: Any, method: str, event: EventDict) -> EventDict:
        """Drop an event that is below the level (a structlog processor)."""
        level = _short(method)
        if LEVELS[level] < LEVELS[self.name]:
            raise structlog.DropEvent
        self.count(level)
        return event


def configure_logs(
    level: str, *, log_format: Literal["logfmt", "json"] = "logfmt"
) -> LogLevel:
    """Send our events, and those of libraries, to standard error.

    Returns the level, so that it can be changed later.
    """
    log_level = LogLevel()
    log_level.set(level)
    render: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.processors.LogfmtRenderer(key_order=_KEY_ORDER)
    )
    structlog.configure(
        processors=[
            log_level,
            _add_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("msg"),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_LibraryEvents()], force=True)
    return log_level


def logger_of(component: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose events name the component."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(
        component=component
    )
    return logger


@dataclass(slots=True)
class Throttle:
    """Lets one event a period through and counts the others.

    For events that clients cause: a flood of them must not become a flood of
    log lines.
    """

    period_ns: int = 1_000_000_000
    _next_ns: int = 0
    _dropped: int = 0

    def take(self, now_ns: int) -> int | None:
        """Return how many were dropped since the last, None to drop this one."""
        if now_ns < self._next_ns:
            self._dropped += 1
            return None
        dropped, self._dropped = self._dropped, 0
        self._next_ns = now_ns + self.period_ns
        return dropped


class _LibraryEvents(logging.Handler):
    """Turns a library's log record into one of our events."""

    def emit(self, record: logging.LogRecord) -> None:
        logger_of(record.name).log(
            record.levelno, record.getMessage(), exc_info=record.exc_info
        )


def _short(method: str) -> str:
    """Return our name of a structlog method: `warning` is `warn`."""
    if method in {"critical", "exception"}:
        return "error"
    return {"warning": "warn", "notset": "debug"}.get(method, method)


def _add_level(_logger: Any, method: str, event: EventDict) -> EventDict:
    event["level"] = _short(method)
    return event
