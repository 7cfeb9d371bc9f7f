"""The server that the command line asks: plain requests, told with their address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlencode

from loki_py.client.connection import Connections, Server

TIMEOUT_S = 300.0
AGENT = "loki-py-cli"
QUERY_RANGE = "/loki/api/v1/query_range"
QUERY = "/loki/api/v1/query"


class Answering(Protocol):
    """Who answers queries."""

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the body of a successful answer.

        Raises: LokiError.
        """
        ...

    def url_of(self, path: str, params: Sequence[tuple[str, str]] = ()) -> str:
        """Return the whole address of a request, as a person may repeat it."""
        ...


@dataclass(slots=True)
class LokiClient:
    """Asks one server; may be used from several threads.

    Attributes:
        retries_max: how often a call is repeated that failed with 429 or 5xx,
            or could not reach the server.
    """

    server: Server
    retries_max: int = 0
    _connections: Connections = field(init=False)

    def __post_init__(self) -> None:
        """Connect when first needed."""
        self._connections = Connections(self.server)

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the body of a successful answer.

        Raises: RequestFailed.
        """
        return self._connections.request(
            "GET", path_of(path, params), retries_max=self.retries_max
        )

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the body of a successful answer.

        Raises: RequestFailed.
        """
        return self._connections.request(
            "POST", path, body=body, headers=headers, retries_max=self.retries_max
        )

    def url_of(self, path: str, params: Sequence[tuple[str, str]] = ()) -> str:
        """Return the whole address of a request, as a person may repeat it."""
        return self.server.url.rstrip("/") + path_of(path, params)


def path_of(path: str, params: Sequence[tuple[str, str]]) -> str:
    """Return path and query of a request."""
    return f"{path}?{urlencode(params)}" if params else path
