"""What every object of the chart keeps to, whatever the values."""

import re
from collections import Counter

from chart_cases import (
    MANIFESTS,
    PROGRAM,
    VALUE_SETS,
    WORKLOADS,
    chosen,
    containers,
    each_set,
    named,
    of_kind,
    pods,
)


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
