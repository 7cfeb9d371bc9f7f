"""Log transports of Node.js, unchanged: what each sent is what comes back."""

import pytest
from clients.conftest import MESSAGES


def test_pino_loki(run_node, stored, app):
    """Batches from its worker thread, labels of properties, structured metadata."""
    run_node("pino")

    entries = stored(f'{{app="{app}"}}')
    found = {metadata["number"]: entry for *entry, metadata in entries}
    assert len(found) == len(entries) == len(MESSAGES)
    for number, message in enumerate(MESSAGES):
        labels, line = found[str(number)]
        assert line == message
        assert labels["region"] == "north"
        assert labels["level"] == ("warning" if number % 2 else "info")


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_winston_loki(run_node, stored, app, encoding):
    """JSON, and the snappy protobuf that it sends by default."""
    run_node("winston", encoding)

    entries = stored(f'{{app="{app}"}}')
    levels = {line: labels["level"] for labels, line, _ in entries}
    assert sorted(line for _, line, _ in entries) == sorted(MESSAGES)
    for number, message in enumerate(MESSAGES):
        assert levels[message] == ("warn" if number % 2 else "info")
