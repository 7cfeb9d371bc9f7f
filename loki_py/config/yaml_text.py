"""YAML text to values, with errors of one line."""

from typing import Any

import yaml
from yaml.constructor import ConstructorError

# These name what stands there, which may be a secret without its quotes.
_CITING = (
    "could not determine a constructor for the tag",
    "duplicate tag handle",
    "found duplicate anchor",
    "found undefined alias",
    "found undefined tag handle",
)


class _Loader(yaml.SafeLoader):
    """YAML as it is; a scalar that its type does not take has a place, too."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  # as above it
        try:
            return super().construct_object(node, deep)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ):
            raise ConstructorError(
                problem="not a value of its type", problem_mark=node.start_mark
            ) from None


def parse_yaml(text: str) -> Any:
    """Return what the text holds.

    Raises: ValueError, which says what is wrong, and where, and cites nothing.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{_uncited(str(error.problem))}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _uncited(problem: str) -> str:
    for start in _CITING:
        if problem.startswith(start):
            return start
    return problem
