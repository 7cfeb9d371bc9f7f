"""Everything here starts real processes: marked slow, with time to do so."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TEST_S_MAX = 600
TEST_S_MAX_NIGHTLY = 3600


def pytest_collection_modifyitems(config, items):
    nightly = config.getoption("--nightly")
    timeout = pytest.mark.timeout(TEST_S_MAX_NIGHTLY if nightly else TEST_S_MAX)
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(timeout)
