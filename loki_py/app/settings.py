"""Read the configuration: a file, the environment, the command line."""

import os
from collections.abc import Sequence
from pathlib import Path

from loki_py.config.loader import parse_config
from loki_py.config.schema import Config
from loki_py.errors import ConfigInvalid


def read_config(
    file: Path | None, assignments: Sequence[str], *, expand_env: bool
) -> Config:
    """Return the settings of a file and the command line.

    Raises: ConfigInvalid.
    """
    try:
        text = "" if file is None else file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigInvalid(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{file}: {error}") from None
    environment = os.environ if expand_env else None
    return parse_config(text, assignments=assignments, environment=environment)
