"""YAML text to values, with errors of one line."""

from typing import Any

import yaml


def parse_yaml(text: str) -> Any:
    """Return what the text holds.

    Raises: ValueError, which says what is wrong, and where, and cites nothing.
    """
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
