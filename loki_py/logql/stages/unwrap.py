"""`| unwrap`: a label's value as the sample."""

from collections.abc import Callable

import numpy as np
import polars as pl

from loki_py.logql.ast_metric import Unwrap, UnwrapConversion
from loki_py.logql.exec.frame import ERROR, Frame
from loki_py.logql.stages.conversions import (
    Converted,
    durations_ns_of,
    floats_of,
    sizes_of,
)
from loki_py.logql.stages.label_filter import names_of, test_of
from loki_py.model.results import Floats

SAMPLE_ERROR = "SampleExtractionErr"


def _seconds_of(texts: pl.Series) -> Converted:
    converted = durations_ns_of(texts)
    return Converted(converted.values / 1e9, converted.bad, converted.details)


_CONVERSIONS: dict[UnwrapConversion | None, Callable[[pl.Series], Converted]] = {
    None: floats_of,
    UnwrapConversion.BYTES: sizes_of,
    UnwrapConversion.DURATION: _seconds_of,
    UnwrapConversion.DURATION_SECONDS: _seconds_of,
}


class Unwrapped:
    """The samples of an unwrap: rows without the label have none."""

    def __init__(self, unwrap: Unwrap) -> None:
        self._label = unwrap.label
        self._convert = _CONVERSIONS[unwrap.conversion]
        self._filters = [test_of(one) for one in unwrap.filters]
        self.reads = frozenset({unwrap.label, ERROR}).union(
            *map(names_of, unwrap.filters)
        )

    def values(self, frame: Frame) -> Floats:
        """Return the values of the rows that have one; drops the others."""
        texts = frame.value(self._label)
        if texts is None:
            frame.filter(np.zeros(len(frame), dtype=np.bool_))
            return np.zeros(0)
        present = texts != ""
        if texts.null_count():
            present = present.fill_null(value=False)
        if not present.all():
            frame.filter(present.to_numpy())
            texts = texts.filter(present)
        converted = self._convert(texts)
        values = converted.values
        if converted.details is not None:
            frame.set_error(converted.bad, SAMPLE_ERROR, converted.details)
            values = np.where(converted.bad, 0.0, values)
        for test in self._filters:
            kept = test(frame, np.ones(len(frame), dtype=np.bool_))
            frame.filter(kept)
            values = values[kept]
        return values
