"""What becomes of OpenTelemetry attributes: labels, structured metadata, nothing.

The limit `otlp_config`, parsed. Names are those of the attributes as they are
sent, dots included. The first rule that names an attribute decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import re2

from loki_py.config.limit_kinds import BOOLEAN, MAPPING, TEXT, TEXTS, Kind, parse_named
from loki_py.config.telling import WrongValue, kind_of

DEFAULT_LABELS = (
    "service.name", "service.namespace", "service.instance.id",
    "deployment.environment", "deployment.environment.name", "cloud.region",
    "cloud.availability_zone", "k8s.cluster.name", "k8s.namespace.name",
    "k8s.pod.name", "k8s.container.name", "container.name", "k8s.replicaset.name",
    "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name",
    "k8s.cronjob.name", "k8s.job.name",
)  # fmt: skip
"""Resource attributes that become labels unless a tenant's rules say otherwise."""


class OtlpAction(Enum):
    """What becomes of an attribute."""

    LABEL = "index_label"
    METADATA = "structured_metadata"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class OtlpRule:
    """One action and the attributes it is for.

    Attributes:
        regex: of whole names, "" for none.
    """

    action: OtlpAction
    attributes: frozenset[str]
    regex: str

    def names(self, attribute: str) -> bool:
        """Return whether the rule is for the attribute."""
        if attribute in self.attributes:
            return True
        return bool(self.regex) and re2.fullmatch(self.regex, attribute) is not None


@dataclass(frozen=True, slots=True)
class OtlpRules:
    """The rules of one tenant.

    Attributes:
        resource, scope, log: rules for the attributes of each.
        ignores_defaults: whether DEFAULT_LABELS are not labels.
        severity_text_is_label: whether a record's severity text is a label.
    """

    resource: tuple[OtlpRule, ...] = ()
    scope: tuple[OtlpRule, ...] = ()
    log: tuple[OtlpRule, ...] = ()
    ignores_defaults: bool = False
    severity_text_is_label: bool = False

    def of_resource(self, attribute: str) -> OtlpAction:
        """Return what becomes of a resource attribute."""
        if not self.ignores_defaults and attribute in DEFAULT_LABELS:
            return OtlpAction.LABEL
        return _action_of(self.resource, attribute)

    def of_scope(self, attribute: str) -> OtlpAction:
        """Return what becomes of a scope attribute."""
        return _action_of(self.scope, attribute)

    def of_log(self, attribute: str) -> OtlpAction:
        """Return what becomes of the attribute of a log record."""
        return _action_of(self.log, attribute)


def _action_of(rules: Sequence[OtlpRule], attribute: str) -> OtlpAction:
    for rule in rules:
        if rule.names(attribute):
            return rule.action
    return OtlpAction.METADATA


def _parse_rules(value: object) -> OtlpRules:
    given = _known(
        value,
        "resource_attributes",
        "scope_attributes",
        "log_attributes",
        "severity_text_as_label",
    )
    resource = _known(
        given.get("resource_attributes"), "ignore_defaults", "attributes_config"
    )
    scope = _rules_of("scope_attributes", given.get("scope_attributes"))
    if any(rule.action is OtlpAction.LABEL for rule in scope):
        raise ValueError("scope_attributes: scope attributes can not be index_label")
    return OtlpRules(
        _rules_of("attributes_config", resource.get("attributes_config")),
        scope,
        _rules_of("log_attributes", given.get("log_attributes")),
        parse_named("ignore_defaults", BOOLEAN, resource.get("ignore_defaults", False)),
        parse_named(
            "severity_text_as_label",
            BOOLEAN,
            given.get("severity_text_as_label", False),
        ),
    )


def _rules_of(name: str, value: object) -> tuple[OtlpRule, ...]:
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_rule_of(name, item) for item in value)
    raise ValueError(f"{name}: not a list: {kind_of(value)}")


def _rule_of(name: str, value: object) -> OtlpRule:
    given = _known(value, "action", "attributes", "regex")
    try:
        action = OtlpAction(given.get("action", OtlpAction.METADATA.value))
    except ValueError:
        words = ", ".join(each.value for each in OtlpAction)
        raise WrongValue(
            f"{name}: action is not one of {words}", given["action"]
        ) from None
    attributes = parse_named("attributes", TEXTS, given.get("attributes"))
    regex = parse_named("regex", TEXT, given.get("regex", ""))
    try:
        re2.compile(regex)
    except re2.error as error:
        raise ValueError(f"{name}: regex {regex!r}: {error}") from None
    if bool(attributes) == bool(regex):
        raise ValueError(f"{name}: a rule has either attributes or a regex")
    return OtlpRule(action, frozenset(attributes), regex)


def _known(value: object, *names: str) -> Mapping[str, Any]:
    given: Mapping[str, Any] = MAPPING.parse(value)
    for name in given:
        if name not in names:
            raise ValueError(f"unknown name {name!r}")
    return given


def _show_rules(rules: OtlpRules) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if rules.resource or rules.ignores_defaults:
        shown["resource_attributes"] = {
            "ignore_defaults": rules.ignores_defaults,
            "attributes_config": [_show_rule(rule) for rule in rules.resource],
        }
    if rules.scope:
        shown["scope_attributes"] = [_show_rule(rule) for rule in rules.scope]
    if rules.log:
        shown["log_attributes"] = [_show_rule(rule) for rule in rules.log]
    if rules.severity_text_is_label:
        shown["severity_text_as_label"] = True
    return shown


def _show_rule(rule: OtlpRule) -> dict[str, Any]:
    if rule.regex:
        return {"action": rule.action.value, "regex": rule.regex}
    return {"action": rule.action.value, "attributes": sorted(rule.attributes)}


OTLP = Kind(_parse_rules, _show_rules)
