"""What heads may take of the machine's memory."""

import resource

import pytest

from loki_py.app.machine import memory_bytes, raise_files_max, with_bounded_heads
from loki_py.config.schema import IngesterConfig

MIB = 1 << 20
GIB = 1 << 30


@pytest.mark.parametrize(
    ("head", "ceiling", "memory", "expected"),
    [
        pytest.param(32 * MIB, 0, 8 * GIB, 32 * MIB, id="much memory"),
        pytest.param(32 * MIB, 0, 240 * MIB, 20 * MIB, id="little memory"),
        pytest.param(32 * MIB, 30 * MIB, 8 * GIB, 10 * MIB, id="a low ceiling"),
        pytest.param(32 * MIB, 96 * MIB, 1 * MIB, 32 * MIB, id="a ceiling wins"),
        pytest.param(8 * GIB, 0, 12 * GIB, 1 * GIB, id="large heads"),
        pytest.param(32 * MIB, 1, 8 * GIB, 1, id="no room at all"),
    ],
)
def test_three_heads_fit_below_the_ceiling(head, ceiling, memory, expected):
    """One is open, and two may wait for the disk."""
    config = IngesterConfig(head_bytes_max=head, memory_bytes_max=ceiling)

    assert with_bounded_heads(config, memory).head_bytes_max == expected


def test_a_machine_has_memory():
    assert memory_bytes() > 64 * MIB


def test_as_many_files_may_be_open_as_the_system_grants():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] // 2, before[1]))

    granted = raise_files_max()

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (granted, before[1])
    assert granted == before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
