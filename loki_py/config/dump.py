"""Settings as YAML, the way a configuration file would spell them."""

from collections.abc import Mapping
from typing import Any, Literal

import yaml

from loki_py.config.schema import Config

Mode = Literal["", "diff", "defaults"]


def print_config(config: Config, *, mode: Mode = "") -> str:
    """Return the effective settings, or the defaults, or where the two differ."""
    if mode == "defaults":
        return _yaml_of(_values_of(Config()))
    values = _values_of(config)
    if mode == "diff":
        values = _difference(values, _values_of(Config()))
    return _yaml_of(values)


def _values_of(config: Config) -> dict[str, Any]:
    return config.model_dump(by_alias=True)


def _difference(values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs from `base`, section by section."""
    changed: dict[str, Any] = {}
    for key, value in values.items():
        other = base.get(key)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            if below := _difference(value, other):
                changed[key] = below
        elif value != other:
            changed[key] = value
    return changed


def _yaml_of(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
