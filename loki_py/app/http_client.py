"""HTTP calls of the command line: one kept connection, retries, plain errors.

The standard library's client: importing a richer one takes longer than most
queries run.
"""

import base64
import http.client
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from loki_py.errors import LokiError

TIMEOUT_S = 300.0
BACKOFF_S_MIN = 0.5
BACKOFF_S_MAX = 5.0
_RETRIED = {429, 500, 502, 503, 504}


class RequestFailed(LokiError):
    """The server could not be reached, or said no.

    Attributes:
        status: what the server answered; 0 where it did not.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """The server that is asked, and as whom.

    Attributes:
        retries_max: how often a call is repeated that failed with 429 or 5xx,
            or could not reach the server.
    """

    address: str
    org_id: str = ""
    username: str = ""
    password: str = ""
    bearer_token: str = ""
    query_tags: str = ""
    verify_tls: bool = True
    ca_file: str | None = None
    retries_max: int = 0

    def headers(self) -> dict[str, str]:
        """Return what goes with every request."""
        headers = {"User-Agent": "loki-py-cli", "Accept-Encoding": "identity"}
        if self.org_id:
            headers["X-Scope-OrgID"] = self.org_id
        if self.query_tags:
            headers["X-Query-Tags"] = self.query_tags
        if self.bearer_token:
            headers["Authorization"] = f"Bearer {self.bearer_token}"
        elif self.username:
            pair = f"{self.username}:{self.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return headers


@dataclass(slots=True)
class LokiClient:
    """One connection to one server, opened when first needed."""

    target: Target
    _connection: http.client.HTTPConnection | None = field(init=False, default=None)
    _headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Headers do not change from call to call."""
        self._headers = self.target.headers()

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the body of a successful answer.

        Raises: RequestFailed.
        """
        return self._call("GET", path_of(path, params), None, {})

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the body of a successful answer.

        Raises: RequestFailed.
        """
        return self._call("POST", path, body, headers)

    def url_of(self, path: str, params: Sequence[tuple[str, str]] = ()) -> str:
        """Return the whole address of a request, as a person may repeat it."""
        return self.target.address.rstrip("/") + path_of(path, params)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        attempt = 0
        while True:
            try:
                return self._call_once(method, path, body, headers)
            except RequestFailed as error:
                retriable = error.status == 0 or error.status in _RETRIED
                if not retriable or attempt >= self.target.retries_max:
                    raise
            time.sleep(min(BACKOFF_S_MIN * 2**attempt, BACKOFF_S_MAX))
            attempt += 1

    def _call_once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        if self._connection is None:
            self._connection = self._connect()
        try:
            self._connection.request(
                method,
                urlsplit(self.target.address).path.rstrip("/") + path,
                body=body,
                headers={**self._headers, **headers},
            )
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise RequestFailed(
                f"no answer from {self.target.address}: {error or type(error).__name__}"
            ) from None
        if response.status >= 300:
            text = answer.decode("utf-8", "replace").strip()
            raise RequestFailed(
                f"error response from server: {text} ({response.status})",
                status=response.status,
            )
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.target.address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise RequestFailed(f"not an http address: {self.target.address}")
        if parts.scheme == "http":
            return http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=TIMEOUT_S
            )
        return http.client.HTTPSConnection(
            parts.hostname,
            parts.port,
            timeout=TIMEOUT_S,
            context=tls_of(self.target),
        )


def tls_of(target: Target) -> ssl.SSLContext:
    """Return what the target asks of a TLS connection."""
    context = ssl.create_default_context(cafile=target.ca_file)
    if not target.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def path_of(path: str, params: Sequence[tuple[str, str]]) -> str:
    """Return path and query of a request."""
    return f"{path}?{urlencode(params)}" if params else path
