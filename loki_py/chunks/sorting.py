"""Order entries by stream and time, and find exact duplicates."""

from collections.abc import Sequence

from loki_py.model.batch import EntryBatch, Rows


def sort_and_deduplicate(batch: EntryBatch) -> tuple[EntryBatch, int]:
    """Return the batch in file order and how many duplicates were dropped.

    File order is (fingerprint, canonical text, timestamp), entries of equal
    timestamp in order of arrival. Entries with equal stream, timestamp, line
    and metadata are one entry; the first arrival stays.
    """
    raise NotImplementedError


def duplicate_rows(batches: Sequence[EntryBatch]) -> list[Rows]:
    """Return per batch the rows that repeat an entry of an earlier batch.

    All batches share one `streams` object and have lines and all metadata.
    Rows that repeat within one batch only are not reported. Lines are
    compared only where stream and timestamp are equal.
    """
    raise NotImplementedError
