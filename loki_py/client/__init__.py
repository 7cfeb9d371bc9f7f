"""A client for Python programs: push, ask, follow, and a handler for `logging`.

Read in this order: `entries` (what goes in and comes out), `connection` (HTTP,
retries), `bodies` and `tables` (to push bodies), `answers` and `frames` (answers to
columns), `paging`, `resume`, `client`, `tail`, `delivery` and `handler`.

Importing it is cheap: each name is imported when it is first used, and Arrow,
polars, pandas and websockets by the methods that need them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loki_py.client.answers import WrongKind
    from loki_py.client.client import Client
    from loki_py.client.connection import RequestFailed
    from loki_py.client.delivery import Bounds
    from loki_py.client.entries import Entry
    from loki_py.client.frames import Entries, Samples
    from loki_py.client.handler import LokiHandler
    from loki_py.client.tail import Tail

__all__ = [
    "Bounds",
    "Client",
    "Entries",
    "Entry",
    "LokiHandler",
    "RequestFailed",
    "Samples",
    "Tail",
    "WrongKind",
]

_HOMES = {
    "Bounds": "delivery",
    "Client": "client",
    "Entries": "frames",
    "Entry": "entries",
    "LokiHandler": "handler",
    "RequestFailed": "connection",
    "Samples": "frames",
    "Tail": "tail",
    "WrongKind": "answers",
}


def __getattr__(name: str) -> Any:
    """Return a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
