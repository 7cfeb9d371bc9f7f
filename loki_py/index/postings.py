"""The inverted label index of live streams."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher

Refs: TypeAlias = npt.NDArray[np.uint32]


class LabelIndex:
    """Finds streams, known by small numbers (refs), by their labels.

    Not safe for writers in parallel; readers may run beside nothing.
    """

    def add(self, ref: int, labels: LabelSet) -> None:
        """Make the stream findable; `ref` must not be in use."""
        raise NotImplementedError

    def remove(self, ref: int) -> None:
        """Forget the stream; KeyError where `ref` is unknown."""
        raise NotImplementedError

    def select(self, matchers: Sequence[Matcher]) -> Refs:
        """Return the refs of streams that all matchers match, ascending."""
        raise NotImplementedError

    def names(self, refs: Refs | None = None) -> list[str]:
        """Return the label names that occur (on these streams), sorted."""
        raise NotImplementedError

    def values(self, name: str, refs: Refs | None = None) -> list[str]:
        """Return the values of a label that occur (on these streams), sorted."""
        raise NotImplementedError
