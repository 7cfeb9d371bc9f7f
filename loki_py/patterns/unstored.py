"""Counts on the local disk until the object store has them, for after a crash.

Blocking; called on one worker thread at a time. The files are those of the object
store, under the same keys.
"""

from collections.abc import Mapping

from loki_py.errors import CorruptData
from loki_py.patterns.files import (
    PatternFile,
    decode_pattern_file,
    encode_pattern_file,
)
from loki_py.runtime.logs import logger_of
from loki_py.storage.abc import ObjectStore

_log = logger_of("patterns")


class UnstoredCounts:
    """What a process counted and did not store.

    Args:
        disk: objects below a folder of this process alone.
    """

    def __init__(self, disk: ObjectStore) -> None:
        self._disk = disk
        self._kept: set[str] = set()

    def read(self) -> dict[str, PatternFile]:
        """Return what the process before us left; what is damaged is dropped.

        Raises: OSError, Unavailable.
        """
        found = {}
        for key in list(self._disk.list("")):
            try:
                found[key] = decode_pattern_file(self._disk.get(key))
            except CorruptData as error:
                _log.error("counts are lost", key=key, error=str(error))
                self._disk.delete(key)
        self._kept = set(found)
        return found

    def keep(self, files: Mapping[str, PatternFile]) -> None:
        """Let the disk hold these, and nothing else.

        A crash in the middle leaves some counts twice.

        Raises: OSError, Unavailable.
        """
        for key in files.keys() - self._kept:
            self._disk.put(key, encode_pattern_file(files[key]))
            self._kept.add(key)
        for key in self._kept - files.keys():
            self._disk.delete(key)
            self._kept.discard(key)
