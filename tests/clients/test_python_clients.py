"""Log handlers of Python, unchanged: what each sent is what comes back."""

import json

import pytest
from clients.conftest import MESSAGES


def level_of(number):
    return "warning" if number % 2 else "info"


@pytest.mark.parametrize(
    ("program", "compression"),
    [
        ("otlp_http", "none"),
        ("otlp_http", "deflate"),
        ("otlp_grpc", "NoCompression"),
        ("otlp_grpc", "Gzip"),
    ],
)
def test_opentelemetry_sdk(run_python, server, stored, app, program, compression):
    """Records, severities, attributes and ids of OTLP come back as metadata."""
    run_python(program, compression, server.settings["otlp.grpc_listen_port"])

    entries = stored(f'{{service_name="{app}"}}')
    assert [line for _, line, _ in entries] == MESSAGES
    # The SDK names every process; service.instance.id is a label by default.
    [names] = {frozenset(labels) for labels, _, _ in entries}
    assert names == {"service_name", "service_instance_id"}
    for number, (_, _, metadata) in enumerate(entries):
        wanted = {
            "number": str(number),
            "cart_size": "3",
            "team_name": "checkout",
            "scope_name": "shop.cart",
            "scope_version": "1.2.3",
            "severity_text": "WARN" if number % 2 else "INFO",
            "severity_number": "13" if number % 2 else "9",
            "detected_level": "warn" if number % 2 else "info",
            "trace_id": f"{0xABC0 + number:032x}",
            "span_id": f"{0xDE0 + number:016x}",
        }
        assert metadata.items() >= wanted.items()


@pytest.mark.parametrize("version", ["0", "1"])
def test_python_logging_loki(run_python, stored, app, version):
    """The pushes of today, and those of Loki before 0.4."""
    run_python("logging_loki_queue", version)

    entries = stored(f'{{app="{app}"}}')
    lines = {line: labels for labels, line, _ in entries}
    assert sorted(line for _, line, _ in entries) == sorted(MESSAGES)
    for number, message in enumerate(MESSAGES):
        wanted = {
            "severity": level_of(number),
            "logger": "shop",
            "region": "north",
        }
        assert lines[message].items() >= wanted.items()


@pytest.mark.parametrize("compression", ["plain", "gzip"])
def test_loki_logger_handler(run_python, stored, app, compression):
    """JSON lines with structured metadata."""
    done = run_python("logger_handler", compression)

    assert done.stderr == ""
    entries = stored(f'{{app="{app}"}}')
    found = {metadata["number"]: entry for *entry, metadata in entries}
    assert len(found) == len(entries) == len(MESSAGES)
    for number, message in enumerate(MESSAGES):
        labels, line = found[str(number)]
        assert labels["level"] == level_of(number).upper()
        assert json.loads(line)["message"] == message
    assert all(metadata["team"] == "checkout" for _, _, metadata in entries)


def test_the_handler_of_this_package(run_python, stored, app):
    """What was logged just before the program ended is there as well."""
    done = run_python("own_handler")

    assert done.stderr == ""
    entries = stored(f'{{app="{app}"}}')
    assert [line for _, line, _ in entries] == MESSAGES
    for number, (_, _, metadata) in enumerate(entries):
        wanted = {
            "level": level_of(number),
            "logger": "shop",
            "number": str(number),
        }
        assert metadata.items() >= wanted.items()
