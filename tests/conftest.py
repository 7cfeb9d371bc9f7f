"""What all tests share: the nightly switch and the sizes of random tests."""

import hypothesis
import pytest

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=10_000)


def pytest_addoption(parser):
    parser.addoption(
        "--nightly",
        action="store_true",
        help="also run what takes minutes, and more rounds of what is random",
    )


def pytest_configure(config):
    nightly = config.getoption("--nightly")
    hypothesis.settings.load_profile("nightly" if nightly else "default")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--nightly"):
        return
    skip = pytest.mark.skip(reason="runs with --nightly")
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(skip)


@pytest.fixture
def nightly(request):
    """Whether this is the long run."""
    return request.config.getoption("--nightly")
