"""What a pipeline stage is told when it is made, and what it must do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from loki_py.logql.exec.frame import Frame, Mask

Apply: TypeAlias = Callable[[Frame], None]
"""Change a frame in place: filter rows, set labels, replace lines."""

Test: TypeAlias = Callable[[Frame, Mask], Mask]
"""(frame, rows that are looked at) to the rows that pass; may set errors."""

Names: TypeAlias = frozenset[str] | None
"""Label names; None stands for every name."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What the whole query wants of its parsers.

    Attributes:
        required: the only labels that can matter to the result; None for all. A
            parser that met all of them in a line leaves the rest of it unread.
        preserve_error: rows whose parsing failed are results, not failures.
        filters: label filters by the one name they look at. A parser that sets
            the name in a line applies them at once, wherever they stand.
    """

    required: Names = None
    preserve_error: bool = False
    filters: Mapping[str, Test] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wants:
    """What later stages and the result read of what a stage leaves.

    Attributes:
        labels: label names, errors by their label names; None for all.
        line: whether the line is read.
    """

    labels: Names
    line: bool
    hints: Hints = field(default_factory=Hints)

    def label(self, name: str) -> bool:
        """Return whether the label is read."""
        return self.labels is None or name in self.labels


def union(a: Names, b: Names) -> Names:
    """Return the names of either."""
    return None if a is None or b is None else a | b


def common(a: Names, b: Names) -> Names:
    """Return the names of both."""
    if a is None or b is None:
        return b if a is None else a
    return a & b
