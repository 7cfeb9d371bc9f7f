"""Matchers: what a stream selector asks of one label."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import re2

from loki_py.model.labels import LabelSet, quote


class MatchType(Enum):
    """The four matching operators, by their text."""

    EQUAL = "="
    NOT_EQUAL = "!="
    REGEXP = "=~"
    NOT_REGEXP = "!~"


@dataclass(frozen=True)
class Matcher:
    """One `name op "value"` of a selector.

    A missing label matches like an empty value. Regular expressions are RE2,
    fully anchored, and `.` matches a newline, as in Loki.
    """

    name: str
    type: MatchType
    value: str

    @cached_property
    def _regexp(self) -> "re2._Regexp":
        return re2.compile(f"(?s)^(?:{self.value})$", _QUIET)

    def matches(self, value: str) -> bool:
        """Return whether a label with this value is selected."""
        match self.type:
            case MatchType.EQUAL:
                return value == self.value
            case MatchType.NOT_EQUAL:
                return value != self.value
            case MatchType.REGEXP:
                return self._regexp.match(value) is not None
            case MatchType.NOT_REGEXP:
                return self._regexp.match(value) is None

    def __str__(self) -> str:
        return f"{self.name}{self.type.value}{quote(self.value)}"


def _quiet_options() -> "re2.Options":
    options = re2.Options()
    options.log_errors = False
    return options


_QUIET = _quiet_options()


def selects(matchers: Sequence[Matcher], labels: LabelSet) -> bool:
    """Return whether every matcher matches the label set."""
    return all(matcher.matches(labels.get(matcher.name)) for matcher in matchers)
