"""Patterns in the object store: written once, read by the day.

Blocking; called on worker threads. Files never change, so those read lately are
kept, up to a bound. An object that does not verify is told of, never shown.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from loki_py.errors import CorruptData, LimitExceeded, ObjectNotFound
from loki_py.model.matchers import Matcher
from loki_py.model.object_keys import (
    ULID_RANDOM_BYTES,
    pattern_day_prefix,
    pattern_key,
    ulid_of,
)
from loki_py.model.pattern_rows import NO_ROWS, PatternRows, selected_rows
from loki_py.patterns.files import (
    PatternFile,
    decode_pattern_file,
    encode_pattern_file,
)
from loki_py.runtime.logs import logger_of
from loki_py.storage.abc import ObjectStore

DAY_NS = 86_400_000_000_000
DAYS_WRITTEN_MAX = 40
"""Days of one write, the newest; what is about others is left out."""

DAYS_READ_MAX = 62
FILES_READ_MAX = 20_000
"""Files of one answer."""

KEPT_BYTES_MAX = 64 << 20
"""Rows of files read lately."""

READ_THREADS = 4

_log = logger_of("patterns")


@dataclass(frozen=True, slots=True)
class StoredPatterns:
    """What was found.

    Attributes:
        parts: rows by who counted them.
        missing: what could not be read, in words.
    """

    parts: Sequence[tuple[str, PatternRows]] = ()
    missing: tuple[str, ...] = ()


def files_of(
    tenant: str, writer: str, rows: PatternRows, *, now_ns: int
) -> list[tuple[str, PatternFile]]:
    """Return keys and files that hold the rows, one for each day."""
    if not len(rows):
        return []
    days = rows["time"].cast(pa.int64()).to_numpy() // DAY_NS
    newest = np.unique(days)[-DAYS_WRITTEN_MAX:]
    files = []
    for day in newest.tolist():
        key = pattern_key(
            tenant,
            about_ns=day * DAY_NS,
            ulid=ulid_of(now_ns, secrets.token_bytes(ULID_RANDOM_BYTES)),
            writer=writer,
        )
        of_day = rows.filter(pa.array(days == day))
        files.append((key, PatternFile(tenant, writer, of_day)))
    return files


class PatternStore:
    """Reads and writes files of patterns; owns a pool of threads.

    Start is construction; `close` lets reads at work end.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="patterns")
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, PatternFile] = OrderedDict()
        self._kept_bytes = 0

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def write(self, key: str, file: PatternFile) -> None:
        """Store a file; durable on return.

        Raises: OSError, Unavailable.
        """
        self._store.put(key, encode_pattern_file(file))

    def read(
        self,
        tenant: str,
        matchers: Sequence[Matcher],
        *,
        start_ns: int,
        end_ns: int,
        skip: Collection[str] = (),
    ) -> StoredPatterns:
        """Return the rows of matching streams in [start, end).

        Args:
            tenant: whose.
            matchers: of streams.
            start_ns: where to begin.
            end_ns: where to end.
            skip: keys of files that somebody else answers for.

        Raises: LimitExceeded where that is too much at once, Unavailable.
        """
        keys = self._keys(tenant, start_ns, end_ns, frozenset(skip))
        found = list(self._pool.map(lambda key: self._file(key, tenant), keys))
        missing = tuple(each for each in found if isinstance(each, str))
        parts = [
            (
                file.writer,
                selected_rows(file.rows, matchers, start_ns=start_ns, end_ns=end_ns),
            )
            for file in found
            if isinstance(file, PatternFile)
        ]
        return StoredPatterns([part for part in parts if len(part[1])], missing)

    def _keys(
        self, tenant: str, start_ns: int, end_ns: int, skip: frozenset[str]
    ) -> list[str]:
        first, last = max(start_ns, 0) // DAY_NS, (end_ns - 1) // DAY_NS
        if last - first >= DAYS_READ_MAX:
            raise LimitExceeded(
                f"patterns of {last - first + 1} days were asked for; limit is "
                f"{DAYS_READ_MAX}",
                status=400,
            )
        prefixes = [
            pattern_day_prefix(tenant, about_ns=day * DAY_NS)
            for day in range(first, last + 1)
        ]
        listed = self._pool.map(lambda prefix: list(self._store.list(prefix)), prefixes)
        keys = [key for day in listed for key in day if key not in skip]
        if len(keys) > FILES_READ_MAX:
            raise LimitExceeded(
                f"patterns of that time are in {len(keys)} files; limit is "
                f"{FILES_READ_MAX}",
                status=400,
            )
        return keys

    def _file(self, key: str, tenant: str) -> PatternFile | str:
        """Return a file, or what is wrong with it in words."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
        try:
            file = decode_pattern_file(self._store.get(key))
        except ObjectNotFound:
            return PatternFile(tenant, "", NO_ROWS)  # deleted since it was listed
        except CorruptData as error:
            _log.error("a pattern file is damaged", key=key, error=str(error))
            return f"{key}: {error}"
        if file.tenant != tenant:
            _log.error("a pattern file is another tenant's", key=key)
            return f"{key}: is not of this tenant"
        self._keep(key, file)
        return file

    def _keep(self, key: str, file: PatternFile) -> None:
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = file
            self._kept_bytes += file.rows.nbytes
            while self._kept_bytes > KEPT_BYTES_MAX:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= oldest.rows.nbytes
