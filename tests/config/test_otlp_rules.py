"""The limit `otlp_config`: which rule decides, and what is refused."""

import pytest

from loki_py.config.limits import Limits
from loki_py.config.otlp import OtlpAction


def rules_of(config):
    return Limits.from_mapping({"otlp_config": config}).otlp_rules


def test_defaults_make_labels_of_the_well_known_resource_attributes():
    rules = Limits().otlp_rules

    assert rules.of_resource("service.name") is OtlpAction.LABEL
    assert rules.of_resource("host.name") is OtlpAction.METADATA
    assert rules.of_log("service.name") is OtlpAction.METADATA


def test_first_rule_that_names_an_attribute_decides():
    rules = rules_of(
        {
            "resource_attributes": {
                "ignore_defaults": True,
                "attributes_config": [
                    {"action": "drop", "regex": "process\\..+"},
                    {"action": "index_label", "attributes": ["host.name"]},
                    {"action": "index_label", "regex": ".*"},
                ],
            },
            "log_attributes": [{"action": "drop", "attributes": ["secret"]}],
        }
    )

    assert rules.of_resource("process.pid") is OtlpAction.DROP
    assert rules.of_resource("xprocess.pid") is OtlpAction.LABEL
    assert rules.of_resource("host.name") is OtlpAction.LABEL
    assert rules.of_log("secret") is OtlpAction.DROP
    assert rules.of_log("secrets") is OtlpAction.METADATA


def test_rules_are_printed_as_they_are_read():
    config = {
        "resource_attributes": {
            "ignore_defaults": True,
            "attributes_config": [{"action": "index_label", "regex": "a.+"}],
        },
        "scope_attributes": [{"action": "drop", "attributes": ["b", "c"]}],
        "severity_text_as_label": True,
    }

    limits = Limits.from_mapping({"otlp_config": config})

    assert limits.to_mapping()["otlp_config"] == config


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"resource": {}}, "otlp_config: unknown name 'resource'"),
        (
            {"log_attributes": [{"action": "keep", "regex": "a"}]},
            "log_attributes: action is not one of index_label",
        ),
        (
            {"log_attributes": [{"action": "drop", "regex": "("}]},
            "log_attributes: regex '\\('",
        ),
        (
            {"log_attributes": [{"action": "drop"}]},
            "log_attributes: a rule has either attributes or a regex",
        ),
        (
            {"scope_attributes": [{"action": "index_label", "regex": "a"}]},
            "scope attributes can not be index_label",
        ),
    ],
)
def test_wrong_rules_are_refused_by_name(config, reason):
    with pytest.raises(ValueError, match=reason):
        rules_of(config)
