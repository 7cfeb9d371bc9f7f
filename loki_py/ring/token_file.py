"""An instance's tokens in a local file, so that it comes back to its place.

JSON, `{"version":1,"tokens":[…]}`, written by write-then-rename. A file that
is missing or damaged costs only the place: new tokens are chosen.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from loki_py.ring.desc import TOKEN_END, TOKENS_MAX
from loki_py.runtime.logs import logger_of

VERSION = 1
_log = logger_of("ring")


class _TokenFile(msgspec.Struct):
    version: int
    tokens: list[int]


def read_tokens(path: Path) -> tuple[int, ...]:
    """Return the tokens that were written last, none where there are none."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_TokenFile)
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.warning("tokens file is not readable", path=str(path), error=str(error))
        return ()
    valid = all(0 <= token < TOKEN_END for token in found.tokens)
    if found.version != VERSION or not valid or len(found.tokens) > TOKENS_MAX:
        _log.warning("tokens file is not of this program", path=str(path))
        return ()
    return tuple(sorted(set(found.tokens)))


def write_tokens(path: Path, tokens: Sequence[int]) -> None:
    """Write the tokens; a crash leaves the old file or the new one.

    Raises: OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(_TokenFile(VERSION, list(tokens))))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
