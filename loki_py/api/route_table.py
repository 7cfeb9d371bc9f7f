"""Find who answers a path."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from loki_py.api.routes import Route

_PART = re.compile(r"\{(\w+)\}")


class Found(NamedTuple):
    """A route, and what a path has in place of its named parts."""

    route: Route
    parts: Mapping[str, str]


class RouteTable:
    """Routes by path; a named part stands for anything without a slash."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, Found] = {}
        self._with_parts: list[tuple[re.Pattern[str], Route]] = []
        for route in routes:
            assert route.path not in self._fixed
            if _PART.search(route.path):
                self._with_parts.append((_pattern_of(route.path), route))
            else:
                self._fixed[route.path] = Found(route, {})

    def find(self, path: str) -> Found | None:
        """Return the path's route, None where there is none."""
        found = self._fixed.get(path)
        if found is not None:
            return found
        for pattern, route in self._with_parts:
            match = pattern.fullmatch(path)
            if match is not None:
                return Found(route, match.groupdict())
        return None


def _pattern_of(path: str) -> re.Pattern[str]:
    """Return what matches the paths that `path` stands for."""
    fixed_and_names = _PART.split(path)
    fixed = map(re.escape, fixed_and_names[::2])
    names = [f"(?P<{name}>[^/]+)" for name in fixed_and_names[1::2]]
    return re.compile("".join(a + b for a, b in zip(fixed, [*names, ""], strict=True)))
