"""Configuration text to settings: environment, YAML, assignments, unknown keys.

Pure: the caller reads the file and hands over the environment.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from loki_py.config.limits import YAML_NAMES, Limits
from loki_py.config.mistakes import error_texts
from loki_py.config.nearest import unknown_text
from loki_py.config.schema import Config
from loki_py.config.telling import kind_of
from loki_py.config.yaml_text import parse_yaml
from loki_py.errors import ConfigInvalid

KeyTree: TypeAlias = Mapping[str, "KeyTree | None"]

_REFERENCE = re.compile(r"\$(\$\{)|\$\{(\w+)(?::-?([^}]*))?\}")


def parse_config(
    text: str,
    *,
    assignments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Return the settings that `text` and the assignments describe.

    Args:
        text: YAML; empty means every default.
        assignments: `key.path=value` with YAML values; they win over the text.
        environment: expands `${NAME}` and `${NAME:default}` in the text; None
            leaves the text as it is.

    Raises: ConfigInvalid.
    """
    if environment is not None:
        text = expand_env(text, environment)
    try:
        wanted = _mapping_of(_yaml_of(text, "configuration"), "configuration")
    except RecursionError:
        raise ConfigInvalid("configuration: a mapping is part of itself") from None
    for number, assignment in enumerate(assignments, start=1):
        _assign(wanted, assignment, number)
    if misfits := list(_misfits(wanted, _KEYS)):
        raise ConfigInvalid("; ".join(misfits))
    try:
        return Config.model_validate(wanted)
    except ValidationError as error:
        raise ConfigInvalid("; ".join(error_texts(error))) from None


def expand_env(text: str, environment: Mapping[str, str]) -> str:
    """Return `text` with `${NAME}` and `${NAME:default}` replaced.

    A name that is neither set nor has a default becomes empty, as in Loki;
    `$${` stands for `${`.
    """

    def value_of(found: re.Match[str]) -> str:
        if found[1]:
            return found[1]
        return environment.get(found[2]) or found[3] or ""

    return _REFERENCE.sub(value_of, text)


def known_keys() -> list[str]:
    """Return every key that may be set, as `section.key`, in schema order."""
    return list(_leaf_keys(_KEYS, ""))


def _keys_of(model: type[BaseModel]) -> KeyTree:
    """Return the keys of a section as files spell them, to the keys below."""
    tree: dict[str, KeyTree | None] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        below: KeyTree | None = None
        if kind is Limits:
            below = dict.fromkeys(YAML_NAMES)
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            below = _keys_of(kind)
        tree[field.alias or name] = below
    return tree


_KEYS = _keys_of(Config)


def _leaf_keys(tree: KeyTree, prefix: str) -> Iterator[str]:
    for key, below in tree.items():
        if below is None:
            yield prefix + key
        else:
            yield from _leaf_keys(below, f"{prefix}{key}.")


def _misfits(
    values: Mapping[str, Any], tree: KeyTree, prefix: str = ""
) -> Iterator[str]:
    """Yield what is wrong with the keys, one text for each mistake."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        below = tree.get(key)
        if key not in tree:
            yield unknown_text("key", path, known_keys())
        elif below is not None and isinstance(value, Mapping):
            yield from _misfits(value, below, f"{path}.")
        elif below is not None:
            yield f"{path}: not a section with keys of its own: {kind_of(value)}"


def _assign(values: dict[str, Any], assignment: str, number: int) -> None:
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise ConfigInvalid(f"assignment {number} is not key.path=value")
    *parents, last = path.split(".")
    section = values
    for parent in parents:
        below = section.setdefault(parent, {})
        if not isinstance(below, dict):
            raise ConfigInvalid(f"{parent!r} of {path!r} is not a section")
        section = below
    section[last] = _yaml_of(text, path)


def _yaml_of(text: str, what: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigInvalid(f"{what} is not YAML: {error}") from None


def _mapping_of(value: object, what: str) -> dict[str, Any]:
    """Return nested mappings with text keys; an empty value means the default."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigInvalid(f"{what} is not a mapping of keys to values")
    return {
        str(key): _mapping_of(below, str(key)) if isinstance(below, dict) else below
        for key, below in value.items()
        if below is not None
    }
