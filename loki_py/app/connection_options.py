"""The options that say which server is asked, as whom and how."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loki_py.app.http_client import AGENT, TIMEOUT_S, LokiClient
from loki_py.client.connection import (
    AUTHORIZATION,
    BACKOFF_S_MAX,
    BACKOFF_S_MIN,
    Backoff,
    Server,
)

if TYPE_CHECKING:
    from loki_py.app.http_client import Answering

ADDRESS = "http://localhost:3100"


def _option(name: str, environment: str | None, told: str, **more: Any) -> Any:
    return typer.Option(
        name,
        envvar=environment,
        help=told,
        rich_help_panel="Connection",
        show_default=bool(more.pop("shown", False)),
        **more,
    )


_ADDR = _option("--addr", "LOKI_ADDR", "Server address.", shown=True)
_ORG_ID = _option("--org-id", "LOKI_ORG_ID", "Tenant, sent as X-Scope-OrgID.")
_USERNAME = _option("--username", "LOKI_USERNAME", "For basic auth.")
_PASSWORD = _option("--password", "LOKI_PASSWORD", "For basic auth.")
_TOKEN = _option("--bearer-token", "LOKI_BEARER_TOKEN", "Sent as authorization.")
_TOKEN_FILE = _option(
    "--bearer-token-file", "LOKI_BEARER_TOKEN_FILE", "A file with the token."
)
_AUTH_HEADER = _option("--auth-header", "LOKI_AUTH_HEADER", "In which that is sent.")
_TAGS = _option("--query-tags", "LOKI_QUERY_TAGS", "Sent as X-Query-Tags: a=b,c=d.")
_NO_CACHE = _option("--nocache", "LOKI_NO_CACHE", "Sent as Cache-Control: no-cache.")
_PROXY = _option("--proxy-url", "LOKI_HTTP_PROXY_URL", "Ask through this HTTP proxy.")
_CA = _option("--ca-cert", "LOKI_CA_CERT_PATH", "Certificate authority.")
_CERT = _option("--cert", "LOKI_CLIENT_CERT_PATH", "Our own certificate.")
_KEY = _option("--key", "LOKI_CLIENT_KEY_PATH", "And its key.")
_SKIP = _option("--tls-skip-verify", "LOKI_TLS_SKIP_VERIFY", "Trust any certificate.")
_RETRIES = _option("--retries", "LOKI_CLIENT_RETRIES", "Repeat on 429, 5xx, no answer.")
_LEAST = _option(
    "--min-backoff", "LOKI_CLIENT_MIN_BACKOFF", "Seconds before the first.", min=0.0
)
_MOST = _option(
    "--max-backoff", "LOKI_CLIENT_MAX_BACKOFF", "Seconds before any, at most.", min=0.0
)
_STDIN = _option("--stdin", None, "Ask lines of standard input, no server.")


@dataclass(frozen=True, slots=True)
class Connection:
    """Who is asked; as an argument of a command, its options."""

    address: Annotated[str, _ADDR] = ADDRESS
    org_id: Annotated[str, _ORG_ID] = ""
    username: Annotated[str, _USERNAME] = ""
    password: Annotated[str, _PASSWORD] = field(default="", repr=False)
    bearer_token: Annotated[str, _TOKEN] = field(default="", repr=False)
    bearer_token_file: Annotated[Path | None, _TOKEN_FILE] = None
    auth_header: Annotated[str, _AUTH_HEADER] = AUTHORIZATION
    query_tags: Annotated[str, _TAGS] = ""
    nocache: Annotated[bool, _NO_CACHE] = False
    proxy: Annotated[str, _PROXY] = field(default="", repr=False)
    ca_file: Annotated[str, _CA] = ""
    certificate: Annotated[str, _CERT] = ""
    key: Annotated[str, _KEY] = ""
    skip_verify: Annotated[bool, _SKIP] = False
    retries: Annotated[int, _RETRIES] = -1
    backoff_s_min: Annotated[float, _LEAST] = BACKOFF_S_MIN
    backoff_s_max: Annotated[float, _MOST] = BACKOFF_S_MAX
    stdin: Annotated[bool, _STDIN] = False

    def client(self, *, retries_max: int = 0) -> LokiClient:
        """Return who asks the server.

        Args:
            retries_max: where the command line does not say.
        """
        if self.stdin:
            raise typer.BadParameter("--stdin goes with query and instant-query only")
        retries = retries_max if self.retries < 0 else self.retries
        return LokiClient(self._server(), retries)

    def answering(self) -> "Answering":
        """Return who answers queries: the server, or we from standard input."""
        if not self.stdin:
            return self.client()
        from loki_py.app.stdin_client import StdinClient  # noqa: PLC0415  # slow

        return StdinClient()

    def _server(self) -> Server:
        headers = {"User-Agent": AGENT}
        if self.query_tags:
            headers["X-Query-Tags"] = self.query_tags
        if self.nocache:
            headers["Cache-Control"] = "no-cache"
        token = self.bearer_token
        if self.bearer_token_file is not None:
            token = self.bearer_token_file.read_text(encoding="utf-8").strip()
        files = {
            "--ca-cert": self.ca_file,
            "--cert": self.certificate,
            "--key": self.key,
        }
        for option, name in files.items():
            if name and not Path(name).is_file():
                raise typer.BadParameter(f"{option}: there is no file {name}")
        certificate = (self.certificate, self.key or None)
        try:
            return Server(
                self.address,
                tenant=self.org_id or None,
                token=token or None,
                auth=(self.username, self.password) if self.username else None,
                headers=headers,
                ca_file=self.ca_file or None,
                certificate=certificate if self.certificate else None,
                verify_tls=not self.skip_verify,
                auth_header=self.auth_header,
                timeout_s=TIMEOUT_S,
                proxy=self.proxy or None,
                backoff=Backoff(
                    self.backoff_s_min, max(self.backoff_s_min, self.backoff_s_max)
                ),
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
