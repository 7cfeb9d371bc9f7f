"""The pages for users: complete, and true to the program."""

import asyncio
import itertools
import json
import re
from pathlib import Path

import httpx
import pytest
import yaml

from loki_py.api.access import access_of
from loki_py.app import wiring
from loki_py.config.dump import print_config
from loki_py.config.limits import NO_EFFECT as WARNING
from loki_py.config.limits import YAML_NAMES, Limits
from loki_py.config.loader import known_keys, parse_config
from loki_py.config.schema import Config
from loki_py.runtime.logs import LogLevel

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GRAFANA = DOCS / "grafana"
LIMITS = "limits_config."
NO_EFFECT = "Loki's; read, and without effect here."
SUFFIXES = {"counter": "_total", "info": "_info"}

# Everything that can be counted is counted by one of these.
ALONE = ()
CLUSTERED = (
    "common.ring.kvstore.store=etcd",
    "common.ring.kvstore.etcd.endpoints=[127.0.0.1:1]",
    "common.storage.s3.bucketnames=b",
    "common.storage.s3.endpoint=http://127.0.0.1:1",
    "common.storage.s3.region=r",
    "chunk_store_config.chunk_cache_config.memcached_client.addresses=127.0.0.1:1",
    "security.enabled=true",
    "security.jwt.jwks_file=keys.json",
    "security.jwt.audience=a",
    "pattern_ingester.enabled=true",
)


def rows_of(page):
    """Return the cells of every table row of a page."""
    lines = (DOCS / page).read_text().splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("| `")
    ]


def config_of(folder, *assignments):
    return parse_config("", assignments=[f"common.path_prefix={folder}", *assignments])


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """Return every metric as (type, labels, help), by its name."""
    folder = tmp_path_factory.mktemp("data")
    registries = []
    made = wiring.new_registry

    def kept(version):
        registries.append(made(version))
        return registries[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "new_registry", kept)
        for assignments in (ALONE, CLUSTERED):
            wiring.wire(config_of(folder, *assignments), LogLevel())
    return {
        each._name + SUFFIXES.get(each._type, ""): (
            each._type,
            tuple(each._labelnames),
            each._documentation,
        )
        for registry in registries
        for each in registry._collector_to_names
        if hasattr(each, "_labelnames")
    }


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """Return the paths of the API's description."""
    app = wiring.wire(config_of(tmp_path_factory.mktemp("data")), LogLevel()).app

    async def get():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as one:
            return (await one.get("/openapi.json")).json()["paths"]

    return asyncio.run(get())


def shown(value):
    """Return a default as the page spells it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(value)}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return '""' if value == "" else str(value)


def test_every_key_stands_with_its_default_and_meaning():
    defaults = yaml.safe_load(print_config(Config(), mode="defaults"))
    expected = []
    for key in known_keys():
        value = defaults
        for part in key.split("."):
            value = value[part]
        expected.append((f"`{key}`", f"`{shown(value)}`"))

    rows = rows_of("configuration.md")

    assert sorted(tuple(row[:2]) for row in rows) == sorted(expected)
    assert all(len(row) == 3 and row[2].endswith((".", ").")) for row in rows)


def test_limits_without_effect_are_told_from_those_with_one():
    source = "\n".join(
        path.read_text()
        for path in (ROOT / "loki_py").rglob("*.py")
        if path.name != "limits.py" or path.parent.name != "config"
    )
    told = {
        row[0].strip("`").removeprefix(LIMITS)
        for row in rows_of("configuration.md")
        if row[2] == NO_EFFECT
    }
    unused = {
        name
        for name, (attribute, _) in YAML_NAMES.items()
        if not re.search(rf"\.{attribute}\b", source)
    }

    everything = Limits.from_mapping(Limits().to_mapping())
    warned = {name for name, why in everything.remarks().items() if why == WARNING}

    assert told == unused == warned


def test_every_metric_stands_with_its_labels_and_meaning(metrics):
    expected = [
        [f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), text]
        for name, (kind, labels, text) in metrics.items()
    ]

    assert sorted(rows_of("metrics.md")) == sorted(expected)


def test_every_route_stands_with_its_methods(described):
    headings = re.findall(r"^### (.+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    expected = [
        " ".join([*(method.upper() for method in methods), path])
        for path, methods in described.items()
    ]

    assert sorted(headings) == sorted(expected)


def test_every_route_stands_with_its_parameters_and_scope(described):
    parts = re.split(r"^### ", (DOCS / "api.md").read_text(), flags=re.MULTILINE)
    for part in parts[1:]:
        path = part.partition("\n")[0].split()[-1]
        operation = next(iter(described[path].values()))
        names = [e["name"] for e in operation["parameters"] if e["in"] == "query"]
        access = access_of(path, has_tenant=operation["tags"] == ["logs"]).value
        is_push = operation["operationId"].startswith("post_")
        scope = "write" if is_push else access

        table = part.partition("| parameter | meaning |\n")[2].partition("\n\n")[0]
        assert re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE) == names, path
        assert re.search(rf"Needs (the scope `{scope}`|{scope})\.", part), path


def names_in(text):
    """Return the metrics that an expression asks for."""
    found = re.findall(r"\b(loki_[a-z0-9_]+)", re.sub(r'"[^"]*"', "", text))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}


def test_alerts_and_dashboard_use_metrics_that_are_there(metrics):
    alerts = yaml.safe_load((GRAFANA / "alerts.yaml").read_text())
    dashboard = json.loads((GRAFANA / "dashboard.json").read_text())
    asked = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    for panel in dashboard["panels"]:
        asked += [target["expr"] for target in panel.get("targets", ())]

    names = set().union(*map(names_in, asked))

    assert len(names) > 10
    assert names <= set(metrics)


def test_labels_of_alerts_and_dashboard_are_there(metrics):
    """A label that no metric has would make an expression silently empty."""
    known = {label for _, labels, _ in metrics.values() for label in labels}
    known |= {"le", "instance", "job"}
    texts = (GRAFANA / "alerts.yaml").read_text(), (GRAFANA / "dashboard.json")
    text = texts[0] + texts[1].read_text()
    grouped = {
        label.strip()
        for group in re.findall(r"by \(([^)]*)\)", text)
        for label in group.split(",")
    }

    assert grouped <= known


def test_data_source_is_one_for_loki():
    [source] = yaml.safe_load((GRAFANA / "datasource.yaml").read_text())["datasources"]

    assert source["type"] == "loki"
    assert source["url"] == "http://localhost:3100"


def test_examples_of_the_security_page_are_read():
    text = (DOCS / "security.md").read_text()
    numbers = itertools.count(1)
    blocks = re.findall(r"```yaml\n(.+?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        config = re.sub(r"[0-9a-f]{4}…", lambda _: f"{next(numbers):064x}", block)
        parse_config(config)
