"""Everything here starts real processes: marked slow, with time to do so."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TEST_S_MAX = 300


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(TEST_S_MAX))
