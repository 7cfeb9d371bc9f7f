"""What the chart tells the program: its configuration, read by its own reader."""

from chart_cases import PROGRAM, VALUE_SETS, containers, each_set, named, of_kind, pods

from loki_py.app.targets import TARGETS, roles_of
from loki_py.config.limits import Limits, parse_overrides
from loki_py.config.loader import parse_config


def started(name, component):
    """Return settings and ring with which the pods of a component start."""
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
        config = parse_config(
            config_text(name),
            environment=environment,
            assignments=[*assignments, f"target={target[0]}"],
        )
        found.append((config, config.common.ring))
    assert found
    return found


def config_text(name):
    return next(
        item["data"]["loki-py.yaml"]
        for item in of_kind(name, "ConfigMap")
        if "loki-py.yaml" in item["data"]
    )


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
            assert roles_of(config) == TARGETS[config.target]


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


def test_replication_and_address_are_told_where_there_is_a_ring():
    [(config, _)] = started("scalable", "write")
    [(alone, _)] = started("defaults", "single-binary")

    assert config.common.replication_factor == 3
    assert config.common.instance_addr == "10.0.0.7"
    assert (alone.common.replication_factor, alone.common.instance_addr) == (1, "")


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


@each_set
def test_an_upgrade_takes_ingesters_of_one_zone_at_a_time(name):
    for item in of_kind(name, "StatefulSet"):
        is_zone = "loki-py/zone" in item["spec"]["selector"]["matchLabels"]
        strategy = item["spec"]["updateStrategy"]["type"]

        assert strategy == ("OnDelete" if is_zone else "RollingUpdate")


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
