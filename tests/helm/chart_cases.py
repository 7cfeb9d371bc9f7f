"""Values for the chart, what it makes of them, and how tests look at that.

No Helm and no Kubernetes is at hand: `chart_renderer` renders the subset of Helm
that the chart uses.
"""

from pathlib import Path

import pytest
from chart_renderer import load_chart, merged

FOLDER = Path(__file__).parents[2] / "helm" / "loki-py"
CHART = load_chart(FOLDER)
WORKLOADS = {"StatefulSet", "Deployment"}
PROGRAM = "loki-py"

S3 = {
    "type": "s3",
    "s3": {
        "bucket": "logs",
        "region": "eu-central-1",
        "endpoint": "minio:9000",
        "insecure": True,
        "forcePathStyle": True,
        "existingSecret": "s3-credentials",
    },
}
CLUSTER = {
    "storage": S3,
    "etcd": {"enabled": True},
    "loki": {"replicationFactor": 3, "authEnabled": True},
}
SCALABLE = {**CLUSTER, "deploymentMode": "SimpleScalable"}
ZONES = [
    {"name": f"zone-{letter}", "nodeSelector": {"topology.kubernetes.io/zone": letter}}
    for letter in "abc"
]
EXTERNAL_ETCD = {
    "external": {
        "endpoints": ["etcd-0.example:2379", "etcd-1.example:2379"],
        "username": "loki",
        "passwordSecret": "etcd-password",
        "tls": {"enabled": True, "existingSecret": "etcd-tls", "mutual": True},
    }
}
EVERYTHING = merged(
    SCALABLE,
    {
        "image": {"registry": "registry.example", "digest": f"sha256:{'a' * 64}"},
        "commonLabels": {"team": "observability"},
        "memcached": {"enabled": True, "replicas": 3},
        "gateway": {
            "enabled": True,
            "basicAuth": {
                "enabled": True,
                "existingSecret": "users",
                "tenantIsUser": True,
            },
        },
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {
            "enabled": True,
            "monitoring": [{"namespaceSelector": {"matchLabels": {"name": "mon"}}}],
            "egress": {"enabled": True, "extra": [{"ports": [{"port": 9000}]}]},
        },
        "read": {
            "autoscaling": {"enabled": True, "targetMemoryUtilizationPercentage": 80},
            "nodeSelector": {"disk": "none"},
            "tolerations": [{"key": "logs", "operator": "Exists"}],
        },
        "write": {
            "replicas": 1,
            "antiAffinity": "hard",
            "persistence": {"storageClass": "fast", "wal": {"enabled": True}},
            "extraArgs": ["--set=ingester.head_size=64MB"],
            "extraEnv": [{"name": "TZ", "value": "UTC"}],
            "podAnnotations": {"note": "yes"},
        },
        "backend": {"persistence": {"enabled": False}, "antiAffinity": "none"},
        "ring": {"zones": ZONES},
        "loki": {
            "limits": {"ingestion_rate_mb": 20, "max_line_size": "1MB"},
            "overrides": {"team-a": {"ingestion_rate_mb": 50}},
            "config": {
                "querier": {"max_concurrent": 8},
                "server": {"log_level": "warn"},
            },
        },
    },
)
VALUE_SETS = {
    "defaults": {},
    "single-s3": {"storage": S3, "singleBinary": {"flushOnStop": True}},
    "single-cluster": {**CLUSTER, "singleBinary": {"replicas": 3}},
    "single-zones": {**CLUSTER, "ring": {"zones": ZONES}},
    "single-gateway": {
        "gateway": {"enabled": True},
        "networkPolicy": {"enabled": True},
    },
    "no-volumes": {"singleBinary": {"persistence": {"enabled": False}}},
    "scalable": SCALABLE,
    "scalable-external": {
        "deploymentMode": "SimpleScalable",
        "storage": S3,
        "etcd": EXTERNAL_ETCD,
        "memcached": {"external": {"addresses": ["cache-0:11211", "dns+cache:11211"]}},
        "serviceAccount": {"create": False, "name": "given"},
        "fullnameOverride": "store",
    },
    "everything": EVERYTHING,
}
MANIFESTS = {name: CHART.manifests(given) for name, given in VALUE_SETS.items()}

each_set = pytest.mark.parametrize("name", VALUE_SETS)


def of_kind(name, *kinds):
    return [item for item in MANIFESTS[name] if item["kind"] in kinds]


def named(name, kind, object_name):
    found = [i for i in of_kind(name, kind) if i["metadata"]["name"] == object_name]
    assert len(found) == 1, (kind, object_name, len(found))
    return found[0]


def pods(name):
    """Yield every workload with its pod's labels and spec."""
    for item in of_kind(name, *WORKLOADS):
        template = item["spec"]["template"]
        yield item, template["metadata"]["labels"], template["spec"]


def containers(name):
    return [
        (item, container)
        for item, _, spec in pods(name)
        for container in spec["containers"]
    ]


def chosen(name, selector):
    """Return the workloads whose pods a selector chooses."""
    wanted = selector.get("matchLabels", {})
    among = {e["key"]: e for e in selector.get("matchExpressions", [])}
    assert all(e["operator"] == "In" for e in among.values())
    return [
        item
        for item, labels, _ in pods(name)
        if wanted.items() <= labels.items()
        and all(labels.get(key) in e["values"] for key, e in among.items())
    ]
