"""The audit log as events of our own log: what they say, and what is left out."""

from structlog.testing import capture_logs

from loki_py.api.audit import AdminCall, AuditLog
from loki_py.runtime.clock import ManualClock

CALL = {
    "who": "bob",
    "client": "10.0.0.1",
    "method": "POST",
    "route": "flush",
    "query": "a=b",
    "tenant": "",
    "status": 204,
}
SECOND_NS = 10**9


def test_admin_call_and_refusal_are_told_apart():
    audit = AuditLog(clock=ManualClock())

    with capture_logs() as events:
        audit.note(AdminCall(**CALL))
        audit.note_refused(AdminCall(**{**CALL, "status": 403}))

    level = {"component": "audit", "log_level": "warning"}
    assert events == [
        {"event": "admin call", **CALL, **level},
        {"event": "request without the right to it", **CALL, "status": 403, **level},
    ]


def test_refusals_are_told_once_a_second():
    clock = ManualClock()
    audit = AuditLog(clock=clock)

    with capture_logs() as events:
        for _ in range(3):
            audit.note_refused(AdminCall(**CALL))
        clock.advance(SECOND_NS)
        audit.note_refused(AdminCall(**CALL))

    assert len(events) == 2


def test_file_that_refuses_is_told_with_the_call(tmp_path):
    audit = AuditLog(file=str(tmp_path / "no" / "file"), clock=ManualClock())

    with capture_logs() as events:
        audit.note(AdminCall(**CALL))

    [event] = events
    assert event["event"] == "audit file refuses"
    assert event["who"] == "bob"
