"""All flushed chunks of one tenant, found by labels and time."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from loki_py.index.files import IndexFile
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher


@dataclass(frozen=True, slots=True)
class ChunkSelection:
    """The chunks that match.

    Attributes:
        streams: the label sets that `refs` refers to.
        refs: one row per chunk: `stream` (u32, position in `streams`),
            `from`, `through` (i64 ns, inclusive), `entries`, `bytes`,
            `row_group_first`, `row_groups`, `row_first`, `rows`, `pack` (u32,
            position in `packs`); sorted by (pack, row_first).
        packs: the packs that `refs` refers to.
    """

    streams: Sequence[LabelSet]
    refs: pl.DataFrame
    packs: Sequence["PackRef"]


@dataclass(frozen=True, slots=True)
class PackRef:
    """Where a pack lies and how to check it."""

    key: str
    object_bytes: int
    footer_bytes: int
    sha256: str


class ChunkTable:
    """Chunks of many index files; files come and go.

    One writer at a time; a reader sees the table before or after a change.
    """

    def add(self, key: str, file: IndexFile) -> None:
        """Take the file's chunks in, and ignore the files it replaces from now on.

        A file that another one replaces stays ignored, in whatever order they
        come. Adding a key twice changes nothing.
        """
        raise NotImplementedError

    def remove(self, key: str) -> None:
        """Forget the file (and what it replaces); unknown keys are fine."""
        raise NotImplementedError

    @property
    def keys(self) -> frozenset[str]:
        """The files taken in, replaced ones included."""
        raise NotImplementedError

    def select(
        self, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> ChunkSelection:
        """Return the chunks of matching streams with entries in [start, end)."""
        raise NotImplementedError

    def label_names(
        self, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> list[str]:
        """Return names of labels on matching streams with chunks in the time."""
        raise NotImplementedError

    def label_values(
        self, name: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> list[str]:
        """Return the label's values on matching streams with chunks in the time."""
        raise NotImplementedError

    def series(
        self, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> list[LabelSet]:
        """Return the label sets of matching streams with chunks in the time."""
        raise NotImplementedError
