"""What a process counts of its requests and of its own log."""

import logging

import pytest

from loki_py.runtime.logs import configure_logs, logger_of
from loki_py.runtime.metrics import (
    RequestMetrics,
    log_events_counter,
    new_registry,
)

PUSH = {"method": "POST", "route": "push"}


def test_requests_are_in_flight_until_they_end_well_or_not():
    registry = new_registry("0")
    metrics = RequestMetrics(registry)

    def waiting():
        return registry.get_sample_value("loki_inflight_requests", PUSH)

    with metrics.in_flight("POST", "push"):
        with metrics.in_flight("POST", "push"), metrics.in_flight("GET", "push"):
            assert waiting() == 2
        with pytest.raises(ValueError, match="no"), metrics.in_flight("POST", "push"):
            raise ValueError("no")
        assert waiting() == 1
    assert waiting() == 0


def test_events_are_counted_by_level_unless_they_are_dropped():
    registry = new_registry("0")
    level = configure_logs("info")
    level.count = log_events_counter(registry)
    log = logger_of("x")

    log.debug("dropped")
    log.info("kept")
    log.warning("kept")
    log.warning("kept")
    logging.getLogger("library").error("kept")

    counted = {
        name: registry.get_sample_value(
            "loki_internal_log_messages_total", {"level": name}
        )
        for name in ("debug", "info", "warn", "error")
    }
    assert counted == {"debug": 0, "info": 1, "warn": 2, "error": 1}
