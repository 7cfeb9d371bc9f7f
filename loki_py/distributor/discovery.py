"""Adds the level of each entry to its structured metadata."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loki_py.config.limits import Limits
from loki_py.distributor.level_words import (
    LEVELS,
    level_of_severity_number,
    normalised_level,
)
from loki_py.distributor.levels import LevelDetector
from loki_py.distributor.streams import SEVERITY_NUMBER, ResolvedStream
from loki_py.distributor.validation import DETECTED_LEVEL
from loki_py.model.batch import EntryBatch, null_mask_of

Texts: TypeAlias = pa.LargeStringArray


class LevelDiscovery:
    """Finds the level of entries: given, in labels or metadata, or in the line.

    One detector is kept for each list of names that a tenant may have.
    """

    _DETECTORS_MAX = 64

    def __init__(self) -> None:
        self._detectors: dict[tuple[tuple[str, ...], int], LevelDetector] = {}
        self._levels = pa.array(LEVELS, pa.large_string())

    def with_levels(
        self, batch: EntryBatch, streams: Sequence[ResolvedStream], limits: Limits
    ) -> EntryBatch:
        """Return the batch with `detected_level` for every entry."""
        if not len(batch):
            return batch
        known = self._known(batch, streams, limits)
        detector = self._detector(limits)
        if known is None:
            found = self._levels.take(pa.array(detector.codes_of(batch.line)))
        elif known.null_count:
            rows = np.flatnonzero(null_mask_of(known))
            assert batch.line is not None
            codes = np.zeros(len(batch), np.uint8)
            codes[rows] = detector.codes_of(batch.line.take(pa.array(rows)))
            found = pc.coalesce(known, self._levels.take(pa.array(codes)))
        else:
            found = known
        return batch.with_metadata(DETECTED_LEVEL, found)

    def _known(
        self, batch: EntryBatch, streams: Sequence[ResolvedStream], limits: Limits
    ) -> Texts | None:
        """Return the levels that need no look at the line, None where there are none.

        The first source that knows an entry's level counts: the level given,
        the labels, the metadata, the severity number.
        """
        metadata = batch.metadata
        sources = []
        if DETECTED_LEVEL in metadata:
            sources.append(_changed(metadata[DETECTED_LEVEL], normalised_level))
        if any(map(attrgetter("level"), streams)):
            sources.append(_of_streams([s.level for s in streams], batch))
        sources += [
            _changed(metadata[name], normalised_level)
            for name in limits.log_level_fields
            if name in metadata
        ]
        if SEVERITY_NUMBER in metadata:
            sources.append(
                _changed(metadata[SEVERITY_NUMBER], level_of_severity_number)
            )
        if any(map(attrgetter("severity"), streams)):
            sources.append(_of_streams([s.severity for s in streams], batch))
        if not sources:
            return None
        return pc.coalesce(*sources)

    def _detector(self, limits: Limits) -> LevelDetector:
        key = (limits.log_level_fields, limits.log_level_json_depth_max)
        detector = self._detectors.get(key)
        if detector is None:
            if len(self._detectors) >= self._DETECTORS_MAX:
                self._detectors.clear()
            detector = LevelDetector(key[0], json_depth_max=key[1])
            self._detectors[key] = detector
        return detector


def _of_streams(levels: Sequence[str | None], batch: EntryBatch) -> Texts:
    return pa.array(levels, pa.large_string()).take(pa.array(batch.stream))


def _changed(values: Texts, change: Callable[[str], str]) -> Texts:
    """Return the values after `change`, which is asked once for each value."""
    encoded = values.dictionary_encode()
    distinct = [change(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(distinct, pa.large_string()).take(encoded.indices)
