"""The table of routes: who answers a path."""

import pytest

from loki_py.api.answers import NO_CONTENT
from loki_py.api.route_table import RouteTable
from loki_py.api.routes import GET, Route


async def nothing(_asked):
    return NO_CONTENT


LABELS = Route("/api/labels", GET, nothing, "labels")
VALUES = Route("/api/label/{name}/values", GET, nothing, "values")
TABLE = RouteTable((LABELS, VALUES))


def test_fixed_path_has_its_route():
    assert TABLE.find("/api/labels") == (LABELS, {})


def test_named_part_is_told():
    assert TABLE.find("/api/label/app/values") == (VALUES, {"name": "app"})


@pytest.mark.parametrize(
    "path",
    [
        "/api/labels/",
        "/api/label/a/b/values",
        "/api/label//values",
        "/api/label/a/values\n",
        "x/api/labels",
        "",
    ],
)
def test_other_paths_have_none(path):
    assert TABLE.find(path) is None
