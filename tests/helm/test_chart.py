"""The Helm chart: what it makes of several values, held to rules.

No Helm and no Kubernetes is at hand: `chart_renderer` renders the subset of Helm
that the chart uses, and the rules here are ours.
"""

import re
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
import yaml
from chart_renderer import ChartFailed, load_chart, merged

from loki_py.config.limits import Limits, parse_overrides
from loki_py.config.loader import expand_env, parse_config
from loki_py.config.ring_schema import RingConfig
from loki_py.config.schema import CommonConfig

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


# What every object keeps to.


@each_set
def test_objects_are_unique_and_of_the_release(name):
    ids = Counter((i["kind"], i["metadata"]["name"]) for i in MANIFESTS[name])

    assert max(ids.values()) == 1, ids
    for item in MANIFESTS[name]:
        assert item["metadata"]["namespace"] == "obs"
        assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == "logs"
        assert len(item["metadata"]["name"]) <= 63
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", item["metadata"]["name"])


@each_set
def test_a_workload_selects_its_own_pods_and_no_others(name):
    for item in of_kind(name, *WORKLOADS):
        assert chosen(name, item["spec"]["selector"]) == [item]


@each_set
def test_services_budgets_and_policies_select_pods_that_exist(name):
    for item in of_kind(name, "Service"):
        assert chosen(name, {"matchLabels": item["spec"]["selector"]}), item
    for item in of_kind(name, "PodDisruptionBudget"):
        assert chosen(name, item["spec"]["selector"]), item
    for item in of_kind(name, "NetworkPolicy"):
        assert chosen(name, item["spec"]["podSelector"]), item


@each_set
def test_service_ports_are_named_and_lead_to_ports_of_every_pod(name):
    for service in of_kind(name, "Service"):
        for workload in chosen(name, {"matchLabels": service["spec"]["selector"]}):
            pod = workload["spec"]["template"]["spec"]
            ports = {p["name"] for c in pod["containers"] for p in c["ports"]}
            for port in service["spec"]["ports"]:
                assert port["name"]
                assert port["targetPort"] in ports


@each_set
def test_every_stateful_set_has_its_headless_service(name):
    for item in of_kind(name, "StatefulSet"):
        service = named(name, "Service", item["spec"]["serviceName"])

        assert service["spec"]["clusterIP"] == "None"
        assert item in chosen(name, {"matchLabels": service["spec"]["selector"]})


@each_set
def test_every_workload_has_a_disruption_budget(name):
    kept = [
        item["metadata"]["name"]
        for budget in of_kind(name, "PodDisruptionBudget")
        for item in chosen(name, budget["spec"]["selector"])
    ]

    assert sorted(kept) == sorted(
        item["metadata"]["name"] for item in of_kind(name, *WORKLOADS)
    )


@each_set
def test_probes_ask_named_ports_and_readiness_asks_ready(name):
    for item, container in containers(name):
        ports = {port["name"] for port in container["ports"]}
        for kind in ("livenessProbe", "readinessProbe"):
            asked = container[kind].get("httpGet") or container[kind]["tcpSocket"]
            assert asked["port"] in ports, item
        if container["name"] in {PROGRAM, "nginx"}:
            assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
        if container["name"] == PROGRAM:
            assert container["livenessProbe"]["httpGet"]["path"] != "/ready"
            assert container["startupProbe"]["httpGet"]["path"] != "/ready"


@each_set
def test_images_are_pinned(name):
    for _, container in containers(name):
        image = container["image"]
        tag = re.fullmatch(r"[^:@]+(?:/[^:@]+)*:([\w][\w.-]*)", image)
        assert tag or re.search(r"@sha256:[0-9a-f]{64}$", image), image
        assert tag is None or tag[1] != "latest"


@each_set
def test_resources_are_set_and_memory_is_bounded(name):
    for _, container in containers(name):
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys()
        assert "memory" in resources["limits"]


@each_set
def test_nothing_runs_as_root_or_writes_to_its_image(name):
    for _, _, spec in pods(name):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
    for _, container in containers(name):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


@each_set
def test_mounts_have_volumes_and_volumes_are_mounted(name):
    for item, _, spec in pods(name):
        claims = item["spec"].get("volumeClaimTemplates", [])
        volumes = {claim["metadata"]["name"] for claim in claims}
        volumes |= {volume["name"] for volume in spec.get("volumes", [])}
        mounts = {
            mount["name"]
            for c in spec["containers"]
            for mount in c.get("volumeMounts", [])
        }
        assert mounts == volumes, item["metadata"]["name"]


@each_set
def test_config_maps_that_are_mounted_exist_and_all_are_used(name):
    mounted = {
        volume["configMap"]["name"]
        for _, _, spec in pods(name)
        for volume in spec.get("volumes", [])
        if "configMap" in volume
    }

    assert mounted == {i["metadata"]["name"] for i in of_kind(name, "ConfigMap")}


@each_set
def test_secrets_are_only_referred_to(name):
    given = set(
        re.findall(
            r"'(s3-credentials|etcd-password|etcd-tls|users)'", str(VALUE_SETS[name])
        )
    )
    text = str(of_kind(name, *WORKLOADS))
    referred = set(re.findall(r"'secretName': '([^']+)'", text))
    referred |= set(re.findall(r"'secretKeyRef': {'name': '([^']+)'", text))

    assert referred == given
    assert not of_kind(name, "Secret")


@each_set
def test_service_accounts_exist_unless_given(name):
    accounts = {i["metadata"]["name"] for i in of_kind(name, "ServiceAccount")}
    used = {
        s["serviceAccountName"] for _, _, s in pods(name) if "serviceAccountName" in s
    }

    assert used == (accounts or {"given"})


@each_set
def test_a_pod_has_time_to_end(name):
    for _, _, spec in pods(name):
        grace = spec["terminationGracePeriodSeconds"]
        if spec["containers"][0]["name"] == PROGRAM:
            command = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
            assert grace > int(command[1]) + 30


@each_set
def test_pods_are_spread_over_nodes(name):
    for item, labels, spec in pods(name):
        affinity = (spec["affinity"] or {}).get("podAntiAffinity", {})
        terms = [
            *affinity.get("requiredDuringSchedulingIgnoredDuringExecution", []),
            *(
                term["podAffinityTerm"]
                for term in affinity.get(
                    "preferredDuringSchedulingIgnoredDuringExecution", []
                )
            ),
        ]
        terms += spec.get("topologySpreadConstraints", [])
        assert terms, item
        for term in terms:
            assert term["labelSelector"]["matchLabels"].items() <= labels.items()


# What the program is told.

NOT_YET = {"replication_factor", "instance_addr", "ring"} - {
    field.alias or name for name, field in CommonConfig.model_fields.items()
}
"""Keys of `common` that the program's `Config` does not have yet."""


def started(name, component):
    """Return the settings with which the pods of a component start."""
    found = []
    for _, labels, spec in pods(name):
        if labels["app.kubernetes.io/component"] != component:
            continue
        container = spec["containers"][0]
        environment = {"POD_NAME": "logs-0", "POD_IP": "10.0.0.7", "ETCD_PASSWORD": "0"}
        environment |= {e["name"]: e["value"] for e in container["env"] if "value" in e}
        assert {"serve", "--config.expand-env"} <= set(container["args"])
        options = [arg.split("=", 1) for arg in container["args"] if "=" in arg]
        target = [value for option, value in options if option == "--target"]
        assignments = [value for option, value in options if option == "--set"]
        found.append(
            (config_text(name), environment, [*assignments, f"target={target[0]}"])
        )
    assert found
    return [parsed(*each) for each in found]


def config_text(name):
    return next(
        item["data"]["loki-py.yaml"]
        for item in of_kind(name, "ConfigMap")
        if "loki-py.yaml" in item["data"]
    )


def parsed(text, environment, assignments):
    whole = yaml.safe_load(expand_env(text, environment))
    common = whole["common"]
    ring = RingConfig.model_validate(common.get("ring") or {})
    for key in NOT_YET:
        common.pop(key, None)
    config = parse_config(yaml.safe_dump(whole), assignments=assignments)
    return config, ring


def components(name):
    return sorted(
        {
            labels["app.kubernetes.io/component"]
            for _, labels, spec in pods(name)
            if spec["containers"][0]["name"] == PROGRAM
        }
    )


@each_set
def test_the_program_accepts_its_configuration(name):
    for component in components(name):
        for config, _ in started(name, component):
            assert config.target == {"single-binary": "all"}.get(component, component)
            assert config.server.http_listen_address == "0.0.0.0"
            assert config.common.instance_id == "logs-0"
            assert config.common.path_prefix == "/var/loki-py"


@each_set
def test_the_program_accepts_its_overrides(name):
    text = next(
        item["data"]["overrides.yaml"]
        for item in of_kind(name, "ConfigMap")
        if "overrides.yaml" in item["data"]
    )

    tenants = parse_overrides(text, Limits())

    wanted = VALUE_SETS[name].get("loki", {}).get("overrides", {})
    assert set(tenants) == set(wanted)


def test_one_process_keeps_everything_on_its_volume():
    [(config, ring)] = started("defaults", "single-binary")

    assert not config.common.storage.s3.bucket
    assert ring.kvstore.store == "inmemory"
    assert not config.ingester.flush_on_shutdown
    assert components("defaults") == ["single-binary"]


def test_objects_go_to_the_bucket_with_credentials_from_the_secret():
    [(config, _)] = started("single-s3", "single-binary")

    assert config.common.storage.s3.bucket == "logs"
    assert config.common.storage.s3.endpoint == "minio:9000"
    assert config.common.storage.s3.force_path_style
    assert not config.common.storage.s3.access_key_id
    assert config.ingester.flush_on_shutdown
    [(_, container)] = containers("single-s3")
    names = [env["name"] for env in container["env"] if "secretKeyRef" in str(env)]
    assert names == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]


def test_what_is_not_on_a_volume_is_flushed_at_the_end():
    [(config, _)] = started("no-volumes", "single-binary")

    assert config.ingester.flush_on_shutdown


def test_instances_meet_in_the_charts_etcd():
    for component in ("write", "read", "backend"):
        [(_, ring)] = started("scalable", component)
        hosts = [endpoint.split(".")[0] for endpoint in ring.kvstore.etcd.endpoints]
        etcd = named("scalable", "StatefulSet", "logs-loki-py-etcd")

        assert ring.kvstore.store == "etcd"
        assert hosts == [f"logs-loki-py-etcd-{i}" for i in range(3)]
        assert etcd["spec"]["replicas"] == 3
        assert ring.kvstore.etcd.endpoints[0].endswith(
            ".logs-loki-py-etcd-headless.obs.svc.cluster.local:2379"
        )


def test_instances_meet_in_an_external_etcd_with_password_and_certificates():
    [(_, ring)] = started("scalable-external", "write")
    etcd = ring.kvstore.etcd

    assert etcd.endpoints == ("etcd-0.example:2379", "etcd-1.example:2379")
    assert (etcd.username, etcd.password.get_secret_value()) == ("loki", "0")
    assert etcd.tls_enabled
    assert etcd.tls_key_path == "/etc/loki-py/etcd-tls/tls.key"
    assert not [
        i
        for i in of_kind("scalable-external", "StatefulSet")
        if "etcd" in str(i["metadata"]["name"])
    ]


def test_replication_is_told_where_there_is_a_ring():
    common = yaml.safe_load(config_text("scalable"))["common"]

    assert common["replication_factor"] == 3
    assert common["instance_addr"] == "${POD_IP}"
    assert "replication_factor" not in yaml.safe_load(config_text("defaults"))["common"]


def test_ingesters_of_each_zone_say_their_zone():
    rings = [ring for _, ring in started("everything", "write")]
    sets = [
        i
        for i in of_kind("everything", "StatefulSet")
        if "-write-" in i["metadata"]["name"]
    ]

    assert [ring.zone for ring in rings] == ["zone-a", "zone-b", "zone-c"]
    assert all(ring.zone_awareness_enabled for ring in rings)
    assert [
        item["spec"]["template"]["spec"]["nodeSelector"]["topology.kubernetes.io/zone"]
        for item in sets
    ] == ["a", "b", "c"]
    assert started("everything", "read")[0][1].zone == "unzoned"


def test_the_wal_may_have_a_volume_of_its_own():
    item = named("everything", "StatefulSet", "logs-loki-py-write-zone-a")
    claims = [c["metadata"]["name"] for c in item["spec"]["volumeClaimTemplates"]]

    assert claims == ["data", "wal"]
    assert started("everything", "write")[0][0].wal_directory == "/var/loki-py-wal/wal"


def test_given_settings_win_and_limits_arrive():
    [(config, _)] = started("everything", "read")

    assert config.querier.concurrent_max == 8
    assert config.server.log_level == "warn"
    assert config.limits.ingestion_rate_bytes == 20 << 20
    assert started("everything", "write")[0][0].ingester.head_bytes_max == 64 << 20


def test_every_memcached_server_is_named():
    [(config, _)] = started("everything", "read")
    servers = config.chunk_store.cache.memcached.addresses.split(",")
    item = named("everything", "StatefulSet", "logs-loki-py-memcached")

    assert [server.split(".")[0] for server in servers] == [
        f"logs-loki-py-memcached-{i}" for i in range(item["spec"]["replicas"])
    ]
    [(config, _)] = started("scalable-external", "read")
    assert (
        config.chunk_store.cache.memcached.addresses == "cache-0:11211,dns+cache:11211"
    )


# The parts beside the program.


def test_etcd_forgets_old_revisions_and_knows_its_members():
    item = named("scalable", "StatefulSet", "logs-loki-py-etcd")
    [container] = item["spec"]["template"]["spec"]["containers"]
    [cluster] = [a for a in container["args"] if a.startswith("--initial-cluster=")]

    assert "--auto-compaction-mode=periodic" in container["args"]
    assert "--auto-compaction-retention=10m" in container["args"]
    assert cluster.count(":2380") == item["spec"]["replicas"]
    assert not re.search(r"\s", cluster)


def test_readers_are_scaled_and_their_number_is_left_alone():
    deployment = named("everything", "Deployment", "logs-loki-py-read")
    scaler = named("everything", "HorizontalPodAutoscaler", "logs-loki-py-read")

    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == "logs-loki-py-read"
    assert len(scaler["spec"]["metrics"]) == 2
    assert named("scalable", "Deployment", "logs-loki-py-read")["spec"]["replicas"] == 2


def test_metrics_of_every_process_are_scraped_once():
    [monitor] = of_kind("everything", "ServiceMonitor")
    selector = monitor["spec"]["selector"]
    allowed = {e["key"]: e for e in selector["matchExpressions"]}
    found = []
    for service in of_kind("everything", "Service"):
        labels = service["metadata"]["labels"]
        component = labels["app.kubernetes.io/component"]
        if (
            selector["matchLabels"].items() <= labels.items()
            and component in allowed["app.kubernetes.io/component"]["values"]
            and labels.get("loki-py/variant")
            not in allowed["loki-py/variant"]["values"]
        ):
            ports = {port["name"] for port in service["spec"]["ports"]}
            assert monitor["spec"]["endpoints"][0]["port"] in ports
            found.append(component)

    assert sorted(found) == ["backend", "read", "write"]


@pytest.mark.parametrize("name", ["everything", "single-gateway"])
def test_gateway_leads_to_services_that_exist(name):
    text = next(
        item["data"]["nginx.conf"]
        for item in of_kind(name, "ConfigMap")
        if "nginx.conf" in item["data"]
    )
    upstreams = dict(re.findall(r"upstream (\w+) {\s+server ([\w-]+)\.", text))

    assert text.count("{") == text.count("}")
    assert set(re.findall(r"proxy_pass http://(\w+);", text)) == set(upstreams)
    for service in upstreams.values():
        named(name, "Service", service)
    assert "/flush" not in text
    assert "location / { return 404; }" in text


def test_policies_name_ports_of_the_pods_they_are_for():
    for name in ("everything", "single-gateway"):
        for policy in of_kind(name, "NetworkPolicy"):
            pods_chosen = chosen(name, policy["spec"]["podSelector"])
            for workload in pods_chosen:
                spec = workload["spec"]["template"]["spec"]
                ports = {p["name"] for c in spec["containers"] for p in c["ports"]}
                for rule in policy["spec"]["ingress"]:
                    assert {port["port"] for port in rule["ports"]} <= ports
        assert sorted(
            item["metadata"]["name"] for item in of_kind(name, *WORKLOADS)
        ) == sorted(
            item["metadata"]["name"]
            for policy in of_kind(name, "NetworkPolicy")
            for item in chosen(name, policy["spec"]["podSelector"])
        )


def test_clients_reach_the_program_only_through_the_gateway():
    policy = named("single-gateway", "NetworkPolicy", "logs-loki-py")

    peers = [peer for rule in policy["spec"]["ingress"] for peer in rule["from"]]
    assert all(
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "logs"
        for peer in peers
    )


@each_set
def test_notes_name_a_service_that_exists(name):
    notes = CHART.render(VALUE_SETS[name])["NOTES.txt"]

    for service in re.findall(r"http://([\w-]+)\.obs\.", notes):
        named(name, "Service", service)
    for service in re.findall(r"svc/([\w-]+)", notes):
        named(name, "Service", service)


# What is refused.

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


# The chart itself.


def test_chart_and_program_have_the_same_version():
    project = (FOLDER.parents[1] / "pyproject.toml").read_text()

    assert f'version = "{CHART.about["appVersion"]}"' in project


def test_every_value_is_used():
    text = "".join(tree.source for tree in CHART.trees.values())

    for key in CHART.values:
        assert f".Values.{key}" in text, key
