"""The tokens in force: those of the settings, and those of a file that may change."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from loki_py.api.access import Principal
from loki_py.config.security_schema import TokenConfig, check_alone
from loki_py.config.tokens import parse_tokens
from loki_py.errors import ConfigInvalid


class TokenBook:
    """Whose secret has which hash.

    Args:
        fixed: tokens of the settings.
        path: a file with more; "" where there is none. `load` reads it.
    """

    def __init__(self, fixed: Iterable[TokenConfig], path: str = "") -> None:
        self._fixed = tuple(fixed)
        self._path = path
        self._principals = principals_of(self._fixed)

    def find(self, digest: bytes) -> Principal | None:
        """Return whose secret has this SHA-256."""
        return self._principals.get(digest)

    def load(self) -> None:
        """Read the file; who is no longer in it is nobody from now on.

        Raises: ConfigInvalid; then everything stays as it was.
        """
        try:
            tokens = (*self._fixed, *parse_tokens(Path(self._path).read_text("utf-8")))
            check_alone(tokens)
        except (OSError, ValueError, ConfigInvalid) as error:
            raise ConfigInvalid(f"{self._path}: {error}") from None
        self._principals = principals_of(tokens)


def principals_of(tokens: Iterable[TokenConfig]) -> Mapping[bytes, Principal]:
    """Return the configured principals by the SHA-256 of their secrets."""
    return {
        bytes.fromhex(token.sha256): Principal(
            token.name, frozenset(token.tenants), frozenset(token.scopes)
        )
        for token in tokens
    }
