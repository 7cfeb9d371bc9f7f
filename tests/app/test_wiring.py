"""Wiring: what is constructed for a target, ids, one process per directory."""

import pytest

from bench.ports import free_port
from loki_py.app.data_lock import DataLock
from loki_py.app.wiring import instance_id_of, wire
from loki_py.config.loader import parse_config
from loki_py.errors import ConfigInvalid, NotReady
from loki_py.runtime.logs import LogLevel


def test_unknown_target_is_refused():
    with pytest.raises(ConfigInvalid, match="unknown target 'moon'; it is one of all"):
        wire(parse_config("target: moon"), LogLevel())


async def test_services_of_one_process_start_and_stop_in_order(tmp_path):
    config = parse_config(
        "",
        assignments=[
            f"common.path_prefix={tmp_path}",
            f"otlp.grpc_listen_port={free_port()}",
        ],
    )
    lifecycle = wire(config, LogLevel()).lifecycle

    await lifecycle.start()
    ready = lifecycle.reason_not_ready()
    await lifecycle.stop()

    assert list(lifecycle.states) == [
        "data-directory",
        "runtime-config",
        "store",
        "ingester",
        "querier",
        "otlp-grpc",
    ]
    assert ready is None
    assert {state.value for state in lifecycle.states.values()} == {"Terminated"}


@pytest.mark.parametrize(
    ("configured", "instance_id"),
    [("ingester-0", "ingester-0"), ("Host.Name_1", "host-name-1"), ("ü", "ingester")],
)
def test_instance_id_may_stand_in_a_key(configured, instance_id):
    assert instance_id_of(configured) == instance_id


async def test_directory_is_for_one_process_at_a_time(tmp_path):
    first, second = DataLock(tmp_path), DataLock(tmp_path)
    await first.start()

    with pytest.raises(NotReady, match="in use by another process"):
        await second.start()
    await first.stop()
    await second.start()
    await second.stop()


async def test_file_in_the_place_of_the_directory_is_told(tmp_path):
    (tmp_path / "data").touch()

    with pytest.raises(NotReady, match="data: File exists"):
        await DataLock(tmp_path / "data").start()
