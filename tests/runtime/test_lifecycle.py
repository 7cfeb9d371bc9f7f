"""Life cycle: order of start and stop, failures, and what is said of readiness."""

import pytest

from loki_py.runtime.lifecycle import Lifecycle, State


class Recorder:
    """A service that notes what happens to it, and fails where told to."""

    def __init__(self, name, events, *, fails_on=""):
        self.name, self.events, self.fails_on = name, events, fails_on

    async def start(self):
        self.events.append(f"start {self.name}")
        if self.fails_on == "start":
            raise RuntimeError(self.name)

    async def stop(self):
        self.events.append(f"stop {self.name}")
        if self.fails_on == "stop":
            raise RuntimeError(self.name)


def lifecycle_of(events, *, checks=(), **failing):
    services = {
        name: Recorder(name, events, fails_on=failing.get(name, ""))
        for name in ("a", "b", "c")
    }
    return Lifecycle(services, checks)


async def test_services_stop_in_reverse_order():
    events = []
    lifecycle = lifecycle_of(events)

    await lifecycle.start()
    assert lifecycle.is_running
    assert lifecycle.reason_not_ready() is None
    await lifecycle.stop()

    assert events == [
        "start a",
        "start b",
        "start c",
        "stop c",
        "stop b",
        "stop a",
    ]
    assert set(lifecycle.states.values()) == {State.TERMINATED}


async def test_failed_start_stops_only_what_had_started():
    events = []
    lifecycle = lifecycle_of(events, b="start")

    with pytest.raises(RuntimeError, match="b"):
        await lifecycle.start()
    await lifecycle.stop()

    assert events == ["start a", "start b", "stop a"]
    assert lifecycle.states["b"] is State.FAILED
    assert lifecycle.states["c"] is State.NEW


async def test_failed_stop_does_not_keep_others_running():
    events = []
    lifecycle = lifecycle_of(events, b="stop")
    await lifecycle.start()

    with pytest.raises(RuntimeError, match="b"):
        await lifecycle.stop()

    assert events[3:] == ["stop c", "stop b", "stop a"]


def test_new_process_is_not_ready_and_counts_its_services():
    lifecycle = lifecycle_of([])

    assert lifecycle.reason_not_ready() == "Some services are not Running:\nNew: 3\n"


async def test_draining_process_is_not_ready():
    lifecycle = lifecycle_of([])
    await lifecycle.start()

    lifecycle.draining = True

    assert lifecycle.reason_not_ready() == "Application is stopping"
    assert not lifecycle.is_running


async def test_check_tells_its_own_reason():
    lifecycle = lifecycle_of([], checks=[lambda: None, lambda: "disk is full"])

    await lifecycle.start()

    assert lifecycle.reason_not_ready() == "disk is full"
