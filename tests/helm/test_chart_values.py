"""The values of the chart: which are refused, and that all are used."""

import re

import jsonschema
import pytest
from chart_cases import CHART, CLUSTER, FOLDER, S3, ZONES
from chart_renderer import ChartFailed, merged

BAD_VALUES = {
    "an unknown key": {"replicaCount": 3},
    "an unknown key below": {"write": {"replica": 3}},
    "the tag latest": {"image": {"tag": "latest"}},
    "a part's image without tag or digest": {"etcd": {"image": {"tag": ""}}},
    "a number as text": {"write": {"replicas": "3"}},
    "no processes": {"write": {"replicas": 0}},
    "two etcd members": {"etcd": {"replicas": 2}},
    "an unknown mode": {"deploymentMode": "Distributed"},
    "a URL for etcd": {"etcd": {"external": {"endpoints": ["http://etcd:2379"]}}},
    "credentials in values": {"storage": {"s3": {"secretAccessKey": "x"}}},
    "root": {"podSecurityContext": {"runAsUser": 0}},
    "root allowed": {"podSecurityContext": {"runAsNonRoot": False}},
    "memory without a bound": {"write": {"resources": {"limits": None}}},
    "a duration without unit": {"ring": {"heartbeatPeriod": "5"}},
    "a zone without nodes": {"ring": {"zones": [{"name": "a"}]}},
}


@pytest.mark.parametrize("what", BAD_VALUES)
def test_schema_refuses(what):
    values = merged(CHART.values, BAD_VALUES[what])

    assert list(jsonschema.Draft7Validator(CHART.schema).iter_errors(values))


def test_schema_is_a_schema_and_accepts_the_defaults():
    jsonschema.Draft7Validator.check_schema(CHART.schema)

    jsonschema.Draft7Validator(CHART.schema).validate(CHART.values)


def test_schema_knows_every_value_and_values_name_every_key_of_it():
    def keys(schema, values, path=""):
        if "$ref" in schema:
            schema = CHART.schema["definitions"][schema["$ref"].rpartition("/")[2]]
        known = schema.get("properties")
        if known is None or not isinstance(values, dict):
            return
        for key in known.keys() - {"global"}:
            below = f"{path}.{key}"
            if schema.get("additionalProperties") is False and key not in OPTIONAL:
                assert key in values, below
            keys(known[key], values.get(key), below)

    keys(CHART.schema, CHART.values)


OPTIONAL = {"claims", "initialDelaySeconds", "successThreshold"}
"""Keys of Kubernetes' own that may be given and have no default here."""

REFUSALS = {
    "share a bucket": {"etcd": {"enabled": True}, "singleBinary": {"replicas": 3}},
    "find each other in etcd": {"storage": S3, "deploymentMode": "SimpleScalable"},
    "etcd.external.endpoints exclude": {
        "etcd": {"enabled": True, "external": {"endpoints": ["etcd:2379"]}}
    },
    "memcached.external.addresses exclude": {
        "memcached": {"enabled": True, "external": {"addresses": ["cache:11211"]}}
    },
    "s3.bucket is empty": {"storage": {"type": "s3"}},
    "there are only 1 ingesters": {**CLUSTER, "singleBinary": {"replicas": 1}},
    "there are only 2 zones": {
        **CLUSTER,
        "singleBinary": {"replicas": 2},
        "ring": {"zones": ZONES[:2]},
    },
    "needs gateway.basicAuth.existingSecret": {
        "gateway": {"enabled": True, "basicAuth": {"enabled": True}}
    },
    "needs etcd.external.tls.existingSecret": {
        "etcd": {"external": {"tls": {"enabled": True}}}
    },
    "needs etcd.external.passwordSecret": {"etcd": {"external": {"username": "loki"}}},
    "must exceed the 35 s": {"write": {"terminationGracePeriodSeconds": 35}},
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_chart_refuses_what_makes_no_store(reason):
    with pytest.raises(ChartFailed, match=re.escape(reason)):
        CHART.render(REFUSALS[reason])


def test_chart_and_program_have_the_same_version():
    project = (FOLDER.parents[1] / "pyproject.toml").read_text()

    assert f'version = "{CHART.about["appVersion"]}"' in project


def test_every_value_is_used():
    text = "".join(tree.source for tree in CHART.trees.values())

    for key in CHART.values:
        assert f".Values.{key}" in text, key
