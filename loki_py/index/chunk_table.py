"""All flushed chunks of one tenant, found by labels and time.

Chunks are columns; matchers are tried on distinct label sets only. A change
puts a new tuple of pieces in place of the old one, so that readers on other
threads see the table before or after it, without a lock.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from loki_py.index.files import IndexFile, PackRef
from loki_py.index.series import SeriesMask, SeriesTable
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher

PIECES_MAX = 32
"""Beyond, pieces are joined: a look-up costs some 50 µs a piece."""

_FEW_SERIES_SHARE = 0.2

__all__ = ["ChunkSelection", "ChunkTable", "PackRef"]

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
        self._pieces: tuple[pl.DataFrame, ...] = ()
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
        found, outside, others = self._chunks(
            matchers, start_ns=start_ns, end_ns=end_ns
        )
        found, held = self._without_packs(found, skip)
        if not found:
            return ChunkSelection((), _NO_REFS, (), outside, others, held)
        chunks = pl.concat(found)
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
            outside,
            others,
            held,
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
        for chunks in found:
            mask[chunks["series"].to_numpy()] = True
        return mask

    def _chunks(
        self, matchers: Sequence[Matcher], *, start_ns: int, end_ns: int
    ) -> tuple[list[pl.DataFrame], int, int]:
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
                found.append(piece[rows])
        return found, outside, others

    def _without_packs(
        self, pieces: list[pl.DataFrame], keys: Collection[str]
    ) -> tuple[list[pl.DataFrame], int]:
        """Return the pieces without chunks of these packs, and how many those were."""
        numbers = [self._pack_numbers[key] for key in keys if key in self._pack_numbers]
        if not numbers:
            return pieces, 0
        skipped = np.zeros(len(self._packs), np.bool_)
        skipped[numbers] = True
        found = []
        held = 0
        for piece in pieces:
            rows = np.flatnonzero(~skipped[piece["pack"].to_numpy()])
            held += len(piece) - len(rows)
            if len(rows):
                found.append(piece if len(rows) == len(piece) else piece[rows])
        return found, held

    def _piece_of(self, file: IndexFile, number: int) -> pl.DataFrame:
        series = self._series.numbers_of(file.labels)
        packs = np.array([self._pack_number(ref) for ref in file.packs], np.uint32)
        return file.chunks.with_columns(
            pl.Series("series", series[file.chunks["series"].to_numpy()]),
            pl.Series("pack", packs[file.chunks["pack"].to_numpy()]),
            pl.lit(number, pl.UInt32).alias("file"),
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
    piece: pl.DataFrame,
    wanted: SeriesMask,
    share: float,
    *,
    start_ns: int,
    end_ns: int,
) -> tuple[npt.NDArray[np.int64] | None, int, int]:
    """Return the rows of wanted series with entries in [start, end), None for all.

    Beside them: how many rows are of another time, and how many of other series.

    Args:
        share: how large a part of all series is wanted; where it is small, times
            are only looked at for their chunks.
    """
    oldest, newest = piece["from"].to_numpy(), piece["through"].to_numpy()
    series = piece["series"].to_numpy()
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
    pieces: tuple[pl.DataFrame, ...], numbers: Sequence[int]
) -> tuple[pl.DataFrame, ...]:
    if not numbers:
        return pieces
    kept = (piece.filter(~pl.col("file").is_in(numbers)) for piece in pieces)
    return tuple(piece for piece in kept if len(piece))


def _joined(pieces: tuple[pl.DataFrame, ...]) -> tuple[pl.DataFrame, ...]:
    """Return pieces, the smaller half joined where they are too many.

    Each chunk is copied about log(files) times in all.
    """
    if len(pieces) <= PIECES_MAX:
        return pieces
    by_size = sorted(pieces, key=len)
    small = by_size[: PIECES_MAX // 2]
    return (*by_size[PIECES_MAX // 2 :], pl.concat(small, rechunk=True))


_NO_REFS = pl.DataFrame(
    schema={
        name: pl.UInt32 if name in {"stream", "pack"} else pl.Int64
        for name in REF_COLUMNS
    }
)
