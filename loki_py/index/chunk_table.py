"""All flushed chunks of one tenant, found by labels and time.

Chunks are columns; matchers are tried on distinct label sets only. A change
puts a new tuple of pieces in place of the old one, so that readers on other
threads see the table before or after it, without a lock.

What decides whether a chunk is wanted is looked at as arrays, and rows are put
together of the wanted ones only: mostly all of them are in packs that are skipped.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from loki_py.index.files import IndexFile, PackRef
from loki_py.index.series import SeriesMask, SeriesTable
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher

PIECES_MAX = 32
"""Beyond, pieces are joined: a look-up costs some 10 µs a piece."""

_FEW_SERIES_SHARE = 0.2

_Rows = npt.NDArray[np.int64]

__all__ = ["ChunkSelection", "ChunkTable", "FoundChunks", "PackRef"]

REF_COLUMNS = [
    "stream", "from", "through", "entries", "bytes",
    "row_group_first", "row_groups", "row_first", "rows", "pack",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChunkSelection:
    """The chunks that match.

    Attributes:
        streams: the label sets that `refs` refers to, each with a chunk or more.
        refs: one row per chunk: `stream` (u32, position in `streams`),
            `from`, `through` (i64 ns, inclusive), `entries`, `bytes`,
            `row_group_first`, `row_groups`, `row_first`, `rows` (i64), `pack`
            (u32, position in `packs`); sorted by (pack, row_first).
        packs: the packs that `refs` refers to.
        outside_time, other_streams, held: how many chunks are not in `refs`, and
            why; `held` are those that match, of packs that are not wanted.
    """

    streams: Sequence[LabelSet]
    refs: pl.DataFrame
    packs: Sequence[PackRef]
    outside_time: int = 0
    other_streams: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class FoundChunks:
    """The chunks that match, as far as it is cheap to tell.

    Attributes:
        outside_time, other_streams, held: see `ChunkSelection`.
    """

    pieces: "Sequence[_Piece]"
    outside_time: int
    other_streams: int
    held: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """Chunks of one index file, or of some, with what selects them at hand.

    Attributes:
        chunks: all columns.
        series, pack, oldest, newest: some of them, as arrays.
        rows: those that a look-up found; None for all.
    """

    chunks: pl.DataFrame
    series: npt.NDArray[np.uint32]
    pack: npt.NDArray[np.uint32]
    oldest: npt.NDArray[np.int64]
    newest: npt.NDArray[np.int64]
    rows: _Rows | None = None

    @classmethod
    def of(cls, chunks: pl.DataFrame) -> "_Piece":
        names = ("series", "pack", "from", "through")
        return cls(chunks, *(chunks[name].to_numpy() for name in names))

    def __len__(self) -> int:
        return len(self.chunks) if self.rows is None else len(self.rows)

    def found(self) -> pl.DataFrame:
        """Return the rows."""
        return self.chunks if self.rows is None else self.chunks[self.rows]

    def found_series(self) -> npt.NDArray[np.uint32]:
        """Return whose they are."""
        return self.series if self.rows is None else self.series[self.rows]

    def without_packs(self, skipped: npt.NDArray[np.bool_]) -> "_Piece":
        """Return the piece without the rows of some packs.

        Args:
            skipped: bool by number of the pack.
        """
        rows = np.arange(len(self.pack)) if self.rows is None else self.rows
        kept = rows[~skipped[self.pack[rows]]]
        return self if len(kept) == len(rows) else replace(self, rows=kept)


class ChunkTable:
    """Chunks of many index files; files come and go.

    One writer at a time, readers whenever they like.
    """

    def __init__(self) -> None:
        self._series = SeriesTable()
        self._file_numbers: dict[str, int] = {}
        self._replaced: set[str] = set()
        self._packs: list[PackRef] = []
        self._pack_numbers: dict[str, int] = {}
        self._pieces: tuple[_Piece, ...] = ()
        self._files_seen = 0

    def add(self, key: str, file: IndexFile) -> None:
        """Take the file's chunks in, and ignore the files it replaces from now on.

        A file that another one replaces stays ignored, in whatever order they
        come. Adding a key twice changes nothing.
        """
        if key in self._file_numbers:
            return
        replaced = self._numbers_of(file.replaces)
        self._replaced.update(file.replaces)
        self._file_numbers[key] = self._files_seen
        self._files_seen += 1
        pieces = _without_files(self._pieces, replaced)
        if key not in self._replaced and len(file.chunks):
            pieces = (*pieces, self._piece_of(file, self._file_numbers[key]))
        self._pieces = _joined(pieces)

    def remove(self, key: str) -> None:
        """Forget the file; unknown keys are fine.

        What the file replaced stays replaced: a file that is gone was itself
        replaced by one that holds the same chunks.
        """
        number = self._file_numbers.pop(key, None)
        if number is not None:
            self._replaced.discard(key)
            self._pieces = _without_files(self._pieces, [number])

    def __len__(self) -> int:
        """How many chunks there are."""
        return sum(map(len, self._pieces))

    @property
    def keys(self) -> frozenset[str]:
        """The files taken in, replaced ones included."""
        return frozenset(self._file_numbers)

    def select(
        self,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
        skip: Collection[str] = (),
    ) -> ChunkSelection:
        """Return the chunks of matching streams with entries in [start, end).

        Args:
            skip: keys of packs of which nothing is wanted.
        """
        found = self.find(matchers, start_ns=start_ns, end_ns=end_ns, skip=skip)
        return self.selection_of(found)

    def find(
        self,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
        skip: Collection[str] = (),
    ) -> FoundChunks:
        """Return the same, for `selection_of`."""
        pieces, outside, others = self._chunks(
            matchers, start_ns=start_ns, end_ns=end_ns
        )
        pieces, held = self._without_packs(pieces, skip)
        return FoundChunks(pieces, outside, others, held)

    def selection_of(self, found: FoundChunks) -> ChunkSelection:
        """Return what was found, put together."""
        counts = found.outside_time, found.other_streams, found.held
        if not found.pieces:
            return ChunkSelection((), _NO_REFS, (), *counts)
        chunks = pl.concat([piece.found() for piece in found.pieces])
        series, stream = np.unique(chunks["series"].to_numpy(), return_inverse=True)
        used, pack = np.unique(chunks["pack"].to_numpy(), return_inverse=True)
        refs = chunks.with_columns(
            pl.Series("stream", stream.astype(np.uint32)),
            pl.Series("pack", pack.astype(np.uint32)),
        ).select(REF_COLUMNS)
        return ChunkSelection(
            self._series.labels(series.tolist()),
            refs.sort("pack", "row_first"),
            tuple(self._packs[number] for number in used.tolist()),
            *counts,
        )

    def label_names(
        self, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> list[str]:
        """Return names of labels on matching streams with chunks in the time."""
        return self._series.names(self._found(matchers, start_ns, end_ns))

    def label_values(
        self, name: str, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> list[str]:
        """Return the label's values on matching streams with chunks in the time."""
        return self._series.values(name, self._found(matchers, start_ns, end_ns))

    def series(
        self, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> list[LabelSet]:
        """Return the label sets of matching streams with chunks in the time."""
        found = self._found(matchers, start_ns, end_ns)
        return list(self._series.labels(np.flatnonzero(found).tolist()))

    def _found(
        self, matchers: Sequence[Matcher], start_ns: int, end_ns: int
    ) -> SeriesMask:
        found, _, _ = self._chunks(matchers, start_ns=start_ns, end_ns=end_ns)
        mask = np.zeros(len(self._series), dtype=np.bool_)
        for piece in found:
            mask[piece.found_series()] = True
        return mask

    def _chunks(
        self, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> tuple[list[_Piece], int, int]:
        """Return the chunks that match; how many are of another time, other streams."""
        # Pieces first: every series in them is in the series table by then.
        pieces = self._pieces
        wanted = self._series.select(matchers)
        if not wanted.any():
            return [], 0, sum(map(len, pieces))
        share = int(wanted.sum()) / len(wanted)
        found = []
        outside = others = 0
        for piece in pieces:
            rows, late, other = _rows_found(
                piece, wanted, share, start_ns=start_ns, end_ns=end_ns
            )
            outside += late
            others += other
            if rows is None:
                found.append(piece)
            elif len(rows):
                found.append(replace(piece, rows=rows))
        return found, outside, others

    def _without_packs(
        self, pieces: list[_Piece], keys: Collection[str]
    ) -> tuple[list[_Piece], int]:
        """Return the pieces without chunks of these packs, and how many those were."""
        numbers = [self._pack_numbers[key] for key in keys if key in self._pack_numbers]
        if not numbers:
            return pieces, 0
        skipped = np.zeros(len(self._packs), np.bool_)
        skipped[numbers] = True
        kept = [piece.without_packs(skipped) for piece in pieces]
        held = sum(map(len, pieces)) - sum(map(len, kept))
        return [piece for piece in kept if len(piece)], held

    def _piece_of(self, file: IndexFile, number: int) -> _Piece:
        series = self._series.numbers_of(file.labels)
        packs = np.array([self._pack_number(ref) for ref in file.packs], np.uint32)
        return _Piece.of(
            file.chunks.with_columns(
                pl.Series("series", series[file.chunks["series"].to_numpy()]),
                pl.Series("pack", packs[file.chunks["pack"].to_numpy()]),
                pl.lit(number, pl.UInt32).alias("file"),
            )
        )

    def _pack_number(self, ref: PackRef) -> int:
        number = self._pack_numbers.get(ref.key)
        if number is None:
            number = self._pack_numbers[ref.key] = len(self._packs)
            self._packs.append(ref)
        return number

    def _numbers_of(self, keys: Sequence[str]) -> list[int]:
        held = self._file_numbers
        return [held[key] for key in keys if key in held]


def _rows_found(
    piece: _Piece,
    wanted: SeriesMask,
    share: float,
    *,
    start_ns: int,
    end_ns: int,
) -> tuple[_Rows | None, int, int]:
    """Return the rows of wanted series with entries in [start, end), None for all.

    Beside them: how many rows are of another time, and how many of other series.

    Args:
        share: how large a part of all series is wanted; where it is small, times
            are only looked at for their chunks.
    """
    oldest, newest, series = piece.oldest, piece.newest, piece.series
    if share < _FEW_SERIES_SHARE:
        rows = np.flatnonzero(wanted[series])
        inside = rows[(newest[rows] >= start_ns) & (oldest[rows] < end_ns)]
        return inside, len(rows) - len(inside), len(piece) - len(rows)
    hit = (newest >= start_ns) & (oldest < end_ns)
    others = 0
    if share < 1:
        picked = wanted[series]
        others = len(piece) - int(np.count_nonzero(picked))
        hit &= picked
    if hit.all():
        return None, 0, 0
    rows = np.flatnonzero(hit)
    return rows, len(piece) - others - len(rows), others


def _without_files(
    pieces: tuple[_Piece, ...], numbers: Sequence[int]
) -> tuple[_Piece, ...]:
    if not numbers:
        return pieces
    kept = (piece.chunks.filter(~pl.col("file").is_in(numbers)) for piece in pieces)
    return tuple(_Piece.of(chunks) for chunks in kept if len(chunks))


def _joined(pieces: tuple[_Piece, ...]) -> tuple[_Piece, ...]:
    """Return pieces, the smaller half joined where they are too many.

    Each chunk is copied about log(files) times in all.
    """
    if len(pieces) <= PIECES_MAX:
        return pieces
    by_size = sorted(pieces, key=len)
    small = [piece.chunks for piece in by_size[: PIECES_MAX // 2]]
    joined = _Piece.of(pl.concat(small, rechunk=True))
    return (*by_size[PIECES_MAX // 2 :], joined)


_NO_REFS = pl.DataFrame(
    schema={
        name: pl.UInt32 if name in {"stream", "pack"} else pl.Int64
        for name in REF_COLUMNS
    }
)
