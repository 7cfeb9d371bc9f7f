"""The example files: they are read, and the full one names every key."""

from pathlib import Path

import pytest
import yaml

from loki_py.config.limits import Limits, parse_overrides
from loki_py.config.loader import known_keys, parse_config
from loki_py.config.schema import Config

FOLDER = Path(__file__).parents[2] / "config"
LIMITS = "limits_config."


def test_full_example_is_the_defaults():
    config = parse_config((FOLDER / "loki-py.yaml").read_text())

    assert config.model_dump() == Config().model_dump()


def test_full_example_names_every_key_that_is_no_limit():
    document = yaml.safe_load((FOLDER / "loki-py.yaml").read_text())

    for key in known_keys():
        value = document
        for part in () if key.startswith(LIMITS) else key.split("."):
            assert part in value, key
            value = value[part]


@pytest.mark.parametrize("name", ["tenants.yaml"])
def test_other_examples_are_read(name):
    config = parse_config((FOLDER / name).read_text(), environment={})

    assert config.auth_enabled
    assert config.common.path_prefix == "/var/lib/loki-py"


def test_example_overrides_are_read():
    tenants = parse_overrides((FOLDER / "overrides.yaml").read_text(), Limits())

    assert tenants["team-a"].ingestion_rate_bytes == 50 << 20
