"""The selectors of questions about labels and series."""

from collections.abc import Sequence

from loki_py.errors import QueryInvalid
from loki_py.logql import ast
from loki_py.logql.parser import parse
from loki_py.model.matchers import Matcher

MatcherGroups = Sequence[tuple[Matcher, ...]]


def matcher_groups(selectors: Sequence[str]) -> MatcherGroups:
    """Return the matchers of each selector; one empty group where all match.

    Raises: QueryInvalid.
    """
    if not selectors or (len(selectors) == 1 and _is_empty(selectors[0])):
        return [()]
    return [_matchers_of(text) for text in selectors]


def _matchers_of(text: str) -> tuple[Matcher, ...]:
    if _is_empty(text):
        raise QueryInvalid(f"0 matchers in group: {text}")
    expr = parse(text)
    if isinstance(expr, ast.LogQuery) and not expr.stages:
        return expr.matchers
    raise QueryInvalid("only label matchers are supported")


def _is_empty(text: str) -> bool:
    return "".join(text.split()) == "{}"
