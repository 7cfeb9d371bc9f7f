"""The corpus read naively: push bodies to batches, cases to requests."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
from fakes.entry_batches import selected

from loki_py.model.batch import EntryBatch
from loki_py.model.labels import LabelSet
from loki_py.model.scan import BatchUnit

HERE = Path(__file__).parent
SERVICE_NAME_FROM = (
    "service", "app", "application", "app_name", "name", "app_kubernetes_io_name",
    "container", "container_name", "k8s_container_name", "component", "workload",
    "job", "k8s_job_name",
)  # fmt: skip
LEVEL_FIELDS = (
    "level", "LEVEL", "Level", "log.level", "severity", "SEVERITY", "Severity",
    "SeverityText", "lvl", "LVL", "Lvl", "severity_text", "Severity_Text",
    "SEVERITY_TEXT",
)  # fmt: skip
NORMAL = {
    "trace": "trace", "trc": "trace", "debug": "debug", "dbg": "debug",
    "info": "info", "inf": "info", "information": "info", "warn": "warn",
    "wrn": "warn", "warning": "warn", "error": "error", "err": "error",
    "critical": "critical", "fatal": "fatal",
}  # fmt: skip
WORDS = re.compile(
    r"(?:^|[\n \t\[({\"'=|])"
    r"(trace|debug|fatal|critical|error|err|warning|warn|info)"
    r"(?=$|[\n \t\[({\"'=|\])}:,!])"
)


def cases(*, without=()):
    for path in sorted((HERE / "cases").glob("*.jsonl")):
        if path.stem not in without:
            with path.open(encoding="utf-8") as lines:
                yield from map(json.loads, lines)


def entries():
    """Yield (label dict, timestamp, line, metadata) as the store holds them."""
    seen = set()
    for path in sorted((HERE / "push").glob("*.json")):
        if path.name.endswith(".otlp.json"):
            continue
        for stream in json.loads(path.read_text())["streams"]:
            labels = with_service_name(stream["stream"])
            for timestamp, line, *more in stream["values"]:
                metadata = more[0] if more else {}
                found = level(labels, line, metadata)
                metadata = {
                    re.sub(r"[^a-zA-Z0-9_]", "_", name): value
                    for name, value in metadata.items()
                }
                metadata["detected_level"] = found
                key = json.dumps([labels, timestamp, line, metadata], sort_keys=True)
                if key not in seen:
                    seen.add(key)
                    yield labels, int(timestamp), line, metadata


def with_service_name(labels):
    labels = {name: value for name, value in labels.items() if value}
    if "service_name" in labels:
        return labels
    found = [labels[name] for name in SERVICE_NAME_FROM if labels.get(name)]
    return {**labels, "service_name": found[0] if found else "unknown_service"}


def level(labels, line, metadata):
    if "detected_level" in metadata:
        found = metadata["detected_level"]
        return NORMAL.get(found.lower(), found)
    for source in (labels, metadata):
        for name in LEVEL_FIELDS:
            if name in source:
                return NORMAL.get(source[name].lower(), source[name])
    value = json_level(line) if is_object(line) else logfmt_level(line)
    if value and NORMAL.get(value.lower()):
        return NORMAL[value.lower()]
    found = WORDS.search(line.lower())
    return NORMAL[found[1]] if found else "unknown"


def is_object(line):
    text = line.strip()
    return text.startswith("{") and text.endswith("}")


def json_level(line):
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    for name in LEVEL_FIELDS:
        for key, value in fields.items():
            if key == name and isinstance(value, str):
                return value
    for name in LEVEL_FIELDS:
        for value in fields.values():
            if isinstance(value, dict) and isinstance(value.get(name), str):
                return value[name]
    return None


def logfmt_level(line):
    if "=" not in line:
        return None
    pairs = dict(re.findall(r'(\S+?)=("(?:[^"\\]|\\.)*"|\S*)', line)[::-1])
    lower = {key.lower(): value.strip('"') for key, value in pairs.items()}
    for name in LEVEL_FIELDS:
        if name.lower() in lower:
            return lower[name.lower()]
    return None


def batch():
    """Return all entries as one batch, in the order of arrival."""
    streams, ids, rows = [], {}, list(entries())
    names = dict.fromkeys(name for row in rows for name in row[3])
    stream = []
    for labels, *_ in rows:
        key = LabelSet.of(labels)
        if key not in ids:
            ids[key] = len(streams)
            streams.append(key)
        stream.append(ids[key])
    return EntryBatch(
        streams,
        np.array(stream, dtype=np.uint32),
        np.array([row[1] for row in rows], dtype=np.int64),
        pa.array([row[2] for row in rows], pa.large_string()),
        {
            name: pa.array([row[3].get(name) for row in rows], pa.large_string())
            for name in names
        },
    )


def units_of(whole, scan, *, rows_max=1000):
    """Return what a reader would find for the scan, in units of some rows."""
    rows = np.flatnonzero(selected(whole, scan))
    units = [
        BatchUnit(whole.take(rows[at : at + rows_max]))
        for at in range(0, len(rows), rows_max)
    ]
    if scan.newest_first:
        return sorted(units, key=lambda unit: -unit.max_ns)
    return sorted(units, key=lambda unit: unit.min_ns)
