"""A client for Python programs: push, ask, follow, and a handler for `logging`.

Read in this order: `entries` (what goes in and comes out), `connection` (HTTP,
retries), `bodies` and `tables` (to push bodies), `answers` and `frames` (answers to
columns), `paging`, `client`, `tail`, `delivery` and `handler`.

Importing it is cheap: Arrow, polars, pandas and websockets are imported by the
methods that need them.
"""

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
