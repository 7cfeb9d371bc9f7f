"""The texts of what is wrong with settings: where, what, and which value if it may.

Apart from `telling` because the command line starts without pydantic.
"""

from collections.abc import Iterator

from pydantic import ValidationError

from loki_py.config.telling import WrongValue, kind_of, told, without_credentials

# Every key in which a secret belongs is below one of these.
SECRET_SECTIONS = ("security", "common.storage", "common.ring", "chunk_store_config")

# pydantic's errors about numbers, switches and words: the value helps.
_TOLD = {
    "bool_parsing", "bool_type", "finite_number", "float_parsing", "float_type",
    "greater_than", "greater_than_equal", "int_from_float", "int_parsing",
    "int_parsing_size", "int_type", "less_than", "less_than_equal", "literal_error",
}  # fmt: skip

# About a value that is of the right kind, or is not there.
_ALONE = {"missing", "string_too_short", "too_short", "value_error"}

_SECRET_PREFIXES = tuple(f"{section}." for section in SECRET_SECTIONS)


def error_texts(
    error: ValidationError, *, holds_secrets: bool = False
) -> Iterator[str]:
    """Yield what is wrong, and where, one text for each mistake.

    Args:
        holds_secrets: no value is told, wherever it is.
    """
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        hides = holds_secrets or f"{where}.".startswith(_SECRET_PREFIXES)
        text = item["msg"].removeprefix("Value error, ")
        cause = item.get("ctx", {}).get("error")
        if hides and isinstance(cause, WrongValue):
            text = cause.untold
        elif item["type"] not in _ALONE:
            may_tell = item["type"] in _TOLD and not hides
            given = item["input"]
            text = f"{text}: {told(given) if may_tell else kind_of(given)}"
        yield without_credentials(f"{where}: {text}")
