"""HTTP requests to one store over kept connections, repeated where that helps.

Repeating a push is safe: an entry that is stored already is not stored again.
"""

import base64
import http.client
import os
import random
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from loki_py.errors import LokiError

BACKOFF_S_MIN = 0.5
BACKOFF_S_MAX = 30.0
IDLE_CONNECTIONS_MAX = 8
PROXY_PORT = 80
AUTHORIZATION = "Authorization"
NO_TLS = "WRONG_VERSION_NUMBER"
RETRIED = frozenset({429, 500, 502, 503, 504})


class RequestFailed(LokiError):
    """The store could not be reached, or said no.

    Attributes:
        status: what it answered; 0 where it did not.
        retry_after_s: how long it asked to wait; None where it did not say.
    """

    def __init__(
        self, message: str, *, status: int = 0, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def is_worth_repeating(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status == 0 or self.status in RETRIED


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a request is repeated: twice as long each time."""

    min_s: float = BACKOFF_S_MIN
    max_s: float = BACKOFF_S_MAX


DEFAULT_BACKOFF = Backoff()


@dataclass(frozen=True, slots=True)
class Server:
    """Which store is asked, and as whom.

    Attributes:
        auth: user name and password.
        token: a bearer token; goes before `auth`.
        auth_header: in which one of the two is sent.
        ca_file: certificates to trust instead of the system's.
        certificate: files of our own certificate and its key, where the store asks
            for them; the key may be in the first.
        verify_tls: whether to ask the store for a good certificate.
        timeout_s: how long connecting, or a silence in an answer, may last.
        proxy: the HTTP proxy to ask through, `http://[user:password@]host:port`.
        backoff: how long to wait before a request is repeated.
    """

    url: str
    tenant: str | None = None
    token: str | None = field(default=None, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_file: str | None = None
    certificate: tuple[str, str | None] | None = None
    verify_tls: bool = True
    auth_header: str = AUTHORIZATION
    timeout_s: float = 60.0
    proxy: str | None = field(default=None, repr=False)
    backoff: Backoff = DEFAULT_BACKOFF

    def __post_init__(self) -> None:
        """Refuse addresses that no request could be sent to."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(
                f"not an address such as http://localhost:3100: {self.url}"
            )
        proxy = urlsplit(self.proxy or "http://proxy")
        if proxy.scheme != "http" or not proxy.hostname:
            told = f"{proxy.scheme}://{proxy.hostname or ''}"
            raise ValueError(f"not a proxy such as http://proxy:3128: {told}")

    @property
    def parts(self) -> SplitResult:
        """The address in parts."""
        return urlsplit(self.url)

    def sent_headers(self) -> dict[str, str]:
        """Return what goes with every request."""
        headers = {"User-Agent": "loki-py-client"}
        if self.tenant is not None:
            headers["X-Scope-OrgID"] = self.tenant
        if self.token is not None:
            headers[self.auth_header] = f"Bearer {self.token}"
        elif self.auth is not None:
            pair = ":".join(self.auth).encode()
            headers[self.auth_header] = f"Basic {base64.b64encode(pair).decode()}"
        return {**headers, **self.headers}

    def tls(self) -> ssl.SSLContext | None:
        """Return how to speak TLS; None for plain HTTP."""
        if self.parts.scheme == "http":
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate is not None:
            context.load_cert_chain(*self.certificate)
        return context


def reason_of(error: Exception) -> str:
    """Return why there was no answer, without the system's numbers."""
    if isinstance(error, ssl.SSLError) and error.reason == NO_TLS:
        return "it does not speak TLS; try http://"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def backoff_s(
    attempt: int, *, asked_s: float | None = None, backoff: Backoff = DEFAULT_BACKOFF
) -> float:
    """Return how long to wait before attempt number `attempt`, from 1.

    Twice as long each time, and never what others wait: between half and all of
    it. What the server asked for is waited at least.
    """
    assert attempt >= 1
    longest = min(backoff.min_s * 2.0 ** min(attempt - 1, 64), backoff.max_s)
    chosen = random.uniform(longest / 2, longest)  # noqa: S311  # no secret
    return max(chosen, min(asked_s or 0.0, BACKOFF_S_MAX))


class Connections:
    """Sends requests; may be used from several threads, and after a fork."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._headers = server.sent_headers()
        self._prefix = server.parts.path.rstrip("/")
        if server.proxy and server.parts.scheme == "http":
            # The proxy is told the whole address; with TLS it is a tunnel.
            self._prefix = f"http://{server.parts.netloc}{self._prefix}"
            self._headers |= _proxy_authorization(server.proxy)
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._pid = os.getpid()

    @property
    def server(self) -> Server:
        """Who is asked."""
        return self._server

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        retries_max: int = 0,
    ) -> bytes:
        """Return the body of a successful answer.

        Raises: RequestFailed, the last one where it was repeated.
        """
        attempt = 0
        while True:
            try:
                return self._request_once(method, path, body, headers or {})
            except RequestFailed as error:
                attempt += 1
                if not error.is_worth_repeating or attempt > retries_max:
                    raise
                wait_s = backoff_s(
                    attempt, asked_s=error.retry_after_s, backoff=self._server.backoff
                )
            time.sleep(wait_s)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _request_once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> bytes:
        idle = self._find_idle()
        try:
            try:
                connection = idle or self._connect()
                return self._exchange(connection, method, path, body, headers)
            except (ConnectionError, http.client.BadStatusLine):
                if idle is None:
                    raise
            # The server closed it while nobody used it; a new one can tell more.
            return self._exchange(self._connect(), method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise RequestFailed(
                f"no answer from {self._server.url}: {reason_of(error)}"
            ) from error

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> bytes:
        try:
            sent = {**self._headers, **headers}
            connection.request(method, self._prefix + path, body, sent)
            response = connection.getresponse()
            answer = response.read()
        except BaseException:
            connection.close()
            raise
        if len(self._idle) < IDLE_CONNECTIONS_MAX:
            self._idle.append(connection)
        else:
            connection.close()
        if response.status < 300:
            return answer
        text = answer.decode("utf-8", "replace").strip()
        raise RequestFailed(
            f"{self._server.url} answered {response.status}: {text}",
            status=response.status,
            retry_after_s=_seconds_of(response.headers.get("Retry-After")),
        )

    def _find_idle(self) -> http.client.HTTPConnection | None:
        if os.getpid() != self._pid:
            # These are the parent's: two processes must not share a socket.
            self._idle = deque()
            self._pid = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _connect(self) -> http.client.HTTPConnection:
        parts, context = self._server.parts, self._server.tls()
        timeout_s = self._server.timeout_s
        assert parts.hostname is not None
        host, port = parts.hostname, parts.port
        proxy = urlsplit(self._server.proxy or "")
        if proxy.hostname is not None:
            host, port = proxy.hostname, proxy.port
        if context is None:
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        connection = http.client.HTTPSConnection(
            host,
            port or (PROXY_PORT if proxy.hostname else None),
            timeout=timeout_s,
            context=context,
        )
        if proxy.hostname is not None:
            connection.set_tunnel(
                parts.hostname, parts.port, _proxy_authorization(self._server.proxy)
            )
        return connection


def _proxy_authorization(proxy: str | None) -> dict[str, str]:
    """Return what a proxy's user shows it."""
    parts = urlsplit(proxy or "")
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _seconds_of(header: str | None) -> float | None:
    """Return Retry-After's seconds; None where it is missing or a date."""
    return float(header) if header is not None and header.isdecimal() else None
