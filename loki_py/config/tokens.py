"""The file of tokens: the same list that may stand in the settings.

Pure: the caller reads the file.
"""

from pydantic import TypeAdapter, ValidationError

from loki_py.config.mistakes import error_texts
from loki_py.config.security_schema import TokenConfig, check_alone
from loki_py.config.telling import kind_of
from loki_py.config.yaml_text import parse_yaml
from loki_py.errors import ConfigInvalid

_TOKENS = TypeAdapter(tuple[TokenConfig, ...])


def parse_tokens(text: str) -> tuple[TokenConfig, ...]:
    """Return the tokens of a file; an empty one has none.

    Raises: ConfigInvalid.
    """
    try:
        given = parse_yaml(text)
        if given is not None and not isinstance(given, list):
            raise ConfigInvalid(f"not a YAML list of tokens: {kind_of(given)}")
        tokens = _TOKENS.validate_python(tuple(given or ()))
        check_alone(tokens)
    except ValidationError as error:
        raise ConfigInvalid("; ".join(error_texts(error, holds_secrets=True))) from None
    except ValueError as error:
        raise ConfigInvalid(f"not a YAML list of tokens: {error}") from None
    return tokens
