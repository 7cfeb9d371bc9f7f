"""The parts beside the program: etcd, scaling, metrics, gateway, policies, notes."""

import re

import pytest
import yaml
from chart_cases import CHART, VALUE_SETS, WORKLOADS, chosen, each_set, named, of_kind


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
    found = re.findall(r"upstream (\w+) {\s+server ([\w-]+)\.[\w.-]+:(\d+);", text)
    upstreams = {upstream: (service, int(port)) for upstream, service, port in found}

    assert text.count("{") == text.count("}")
    assert set(re.findall(r"_pass (?:http|grpc)://(\w+);", text)) == set(upstreams)
    for service, port in upstreams.values():
        ports = named(name, "Service", service)["spec"]["ports"]
        assert port in {each["port"] for each in ports}
    # The backend runs nothing that answers.
    assert set(upstreams) == {"write", "read", "otlp"}
    assert upstreams["otlp"] == (upstreams["write"][0], 4317)
    assert text.count("grpc_set_header") in {0, text.count("proxy_set_header") - 3}
    assert "/flush" not in text
    assert "location / { return 404; }" in text


def test_otlp_over_grpc_is_served_by_those_who_take_pushes_and_the_gateway():
    """The port of the service, of the pods and of the settings are one."""
    for name in ("everything", "single-gateway"):
        found = {
            service["metadata"]["labels"]["app.kubernetes.io/component"]
            for service in of_kind(name, "Service")
            for port in service["spec"]["ports"]
            if port["name"] == "otlp-grpc" and port["port"] == 4317
        }
        [config] = [
            yaml.safe_load(item["data"]["loki-py.yaml"])
            for item in of_kind(name, "ConfigMap")
            if "loki-py.yaml" in item["data"]
        ]

        assert len(found) == 2
        assert found - {"gateway"} <= {"write", "single-binary"}
        assert config["otlp"]["grpc_listen_port"] == 4317


def test_policies_name_ports_of_the_pods_they_are_for():
    for name in ("everything", "single-gateway"):
        for policy in of_kind(name, "NetworkPolicy"):
            pods_chosen = chosen(name, policy["spec"]["podSelector"])
            for workload in pods_chosen:
                spec = workload["spec"]["template"]["spec"]
                ports = {p["name"] for c in spec["containers"] for p in c["ports"]}
                for rule in policy["spec"]["ingress"]:
                    assert {port["port"] for port in rule["ports"]} <= ports
        assert {item["metadata"]["name"] for item in of_kind(name, *WORKLOADS)} == {
            item["metadata"]["name"]
            for policy in of_kind(name, "NetworkPolicy")
            for item in chosen(name, policy["spec"]["podSelector"])
        }


def test_clients_reach_the_program_only_through_the_gateway():
    policies = [
        named("single-gateway", "NetworkPolicy", f"logs-loki-py{part}")
        for part in ("", "-otlp")
    ]

    rules = [rule for policy in policies for rule in policy["spec"]["ingress"]]
    peers = [peer for rule in rules for peer in rule["from"]]
    assert all(
        peer["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "logs"
        for peer in peers
    )


@each_set
def test_notes_name_a_service_that_exists(name):
    notes = CHART.render(VALUE_SETS[name])["NOTES.txt"]

    services = re.findall(r"http://([\w-]+)\.obs\.", notes)
    services += re.findall(r"svc/([\w-]+)", notes)
    assert services
    for service in services:
        named(name, "Service", service)
