"""Label sets of flushed streams as columns, parsed once per distinct text.

Parsing and matching are vectorised: a hundred thousand label sets cost tens of
milliseconds once, and a matcher a few.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.index.matching import values_matched
from loki_py.model.canonical import labels_of_canonical
from loki_py.model.labels import LabelSet
from loki_py.model.matchers import Matcher

SeriesMask: TypeAlias = npt.NDArray[np.bool_]
_Codes = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Column:
    """One label name: which series have it and with which value.

    `values` and `code_of` only grow, and are shared with later columns of the
    same name; the codes here know the values there were.
    """

    series: _Codes
    codes: _Codes
    values: list[str]
    code_of: dict[str, int]

    def with_pairs(self, series: _Codes, values: pa.Array) -> "_Column":
        encoded = pc.dictionary_encode(values)
        known = self.code_of
        codes = np.empty(len(encoded.dictionary), dtype=np.uint32)
        for position, value in enumerate(encoded.dictionary.to_pylist()):
            code = known.get(value)
            if code is None:
                # The value first: a reader that finds its code looks it up.
                self.values.append(value)
                code = known[value] = len(known)
            codes[position] = code
        return _Column(
            np.concatenate((self.series, series)),
            np.concatenate((self.codes, codes[encoded.indices.to_numpy()])),
            self.values,
            known,
        )


class SeriesTable:
    """Numbered label sets; numbers are never given up.

    One writer at a time; readers need no lock and see each series whole or not.
    """

    def __init__(self) -> None:
        self._number_of: dict[str, int] = {}
        self._texts: list[str] = []
        self._labels: dict[int, LabelSet] = {}
        self._columns: dict[str, _Column] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def numbers_of(self, texts: "pa.StringArray") -> _Codes:
        """Return the number of each of these distinct canonical texts, new or known.

        The texts come from checked bytes; they are taken for canonical.
        """
        known = self._number_of
        listed = texts.to_pylist()
        numbers = np.empty(len(listed), dtype=np.uint32)
        end = len(self._texts)
        new: list[int] = []
        for position, text in enumerate(listed):
            number = known.get(text)
            if number is None:
                number = end + len(new)
                new.append(position)
            numbers[position] = number
        if new:
            added = texts.take(pa.array(new))
            columns = dict(self._columns)
            for name, series, values in _pairs_by_name(added):
                column = columns.get(name) or _Column(
                    np.zeros(0, np.uint32), np.zeros(0, np.uint32), [], {}
                )
                columns[name] = column.with_pairs(series + np.uint32(end), values)
            self._columns = columns
            self._texts += [listed[position] for position in new]
            known.update((listed[p], int(numbers[p])) for p in new)
        return numbers

    def labels(self, numbers: Iterable[int]) -> tuple[LabelSet, ...]:
        """Return the label sets; the same object for a number each time."""
        cache, texts = self._labels, self._texts
        found = []
        for number in numbers:
            labels = cache.get(number)
            if labels is None:
                labels = cache.setdefault(number, labels_of_canonical(texts[number]))
            found.append(labels)
        return tuple(found)

    def select(self, matchers: Sequence[Matcher]) -> SeriesMask:
        """Return bool by number: whether all matchers match."""
        columns = self._columns
        selected = np.ones(len(self._texts), dtype=np.bool_)
        for matcher in matchers:
            column = columns.get(matcher.name)
            missing_matches = matcher.matches("")
            matched = np.full(len(selected), missing_matches)
            if column is not None:
                hit = values_matched(matcher, column.values, column.code_of)
                inside = column.series < len(selected)
                matched[column.series[inside]] = hit[column.codes[inside]]
            selected &= matched
        return selected

    def names(self, wanted: SeriesMask) -> list[str]:
        """Return the label names of the wanted series, sorted."""
        return sorted(
            name for name, column in self._columns.items()
            if wanted[column.series[column.series < len(wanted)]].any()
        )  # fmt: skip

    def values(self, name: str, wanted: SeriesMask) -> list[str]:
        """Return the values of a label on the wanted series, sorted."""
        column = self._columns.get(name)
        if column is None:
            return []
        inside = column.series < len(wanted)
        codes = column.codes[inside][wanted[column.series[inside]]]
        return sorted(column.values[code] for code in np.unique(codes).tolist())


def _pairs_by_name(texts: "pa.StringArray") -> "list[tuple[str, _Codes, pa.Array]]":
    """Return per label name the positions of the texts that have it, and values."""
    escaped = pc.match_substring(texts, "\\")
    is_escaped = escaped.to_numpy(zero_copy_only=False)
    plain = np.flatnonzero(~is_escaped)
    names, series, values = _pairs_of_plain(texts.take(pa.array(plain)))
    series = plain.astype(np.uint32)[series]
    if is_escaped.any():
        rare = [
            (position, name, value)
            for position in np.flatnonzero(is_escaped).tolist()
            for name, value in labels_of_canonical(texts[position].as_py()).pairs
        ]
        positions, more_names, more_values = zip(*rare, strict=True)
        series = np.concatenate((series, np.array(positions, dtype=np.uint32)))
        names = pa.concat_arrays([names, pa.array(more_names, pa.string())])
        values = pa.concat_arrays([values, pa.array(more_values, pa.string())])
    encoded = pc.dictionary_encode(names)
    code = encoded.indices.to_numpy()
    order = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[order], np.arange(len(encoded.dictionary) + 1))
    return [
        (name, series[order[a:b]], values.take(pa.array(order[a:b])))
        for name, a, b in zip(
            encoded.dictionary.to_pylist(), edges[:-1].tolist(), edges[1:].tolist(),
            strict=True,
        )
    ]  # fmt: skip


def _pairs_of_plain(
    texts: "pa.StringArray",
) -> "tuple[pa.StringArray, _Codes, pa.StringArray]":
    """Return names, positions and values of texts in which no quote is escaped."""
    parts = pc.split_pattern(texts, '"')
    counts = parts.value_lengths().to_numpy() // 2
    pieces = parts.flatten()
    # {a= 1 , b= 2 }: names before values, and one piece more at the end of each.
    text_of_pair = np.repeat(np.arange(len(texts)), counts)
    pair = np.arange(len(text_of_pair))
    name_at = pa.array(2 * pair + text_of_pair)
    value_at = pa.array(2 * pair + text_of_pair + 1)
    encoded = pc.dictionary_encode(pieces.take(name_at))
    clean = pc.utf8_trim(encoded.dictionary, "{=, ")
    names = pa.DictionaryArray.from_arrays(encoded.indices, clean).cast(pa.string())
    return names, text_of_pair.astype(np.uint32), pieces.take(value_at)
