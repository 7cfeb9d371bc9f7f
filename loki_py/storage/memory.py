"""Objects in memory: for tests and for trying things out."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from loki_py.errors import ObjectNotFound
from loki_py.storage.abc import check_key, check_prefix


class MemoryStore:
    """An `ObjectStore` whose objects live as long as the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, bytes] = {}

    def put(self, key: str, source: bytes | Path) -> None:
        """Keep the bytes, or the bytes of the file."""
        check_key(key)
        data = source.read_bytes() if isinstance(source, Path) else source
        with self._lock:
            self._objects[key] = data

    def get(self, key: str) -> bytes:
        """Return the object itself."""
        check_key(key)
        try:
            return self._objects[key]
        except KeyError:
            raise ObjectNotFound(f"no object {key}") from None

    def open_input(self, key: str) -> "pa.NativeFile":
        """Return a reader of the object in memory."""
        return pa.BufferReader(self.get(key))

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys of one moment."""
        check_prefix(prefix)
        with self._lock:
            keys = sorted(key for key in self._objects if key.startswith(prefix))
        yield from keys

    def delete(self, key: str) -> None:
        """Forget the object."""
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def size(self, key: str) -> int:
        """Return the length of the object."""
        return len(self.get(key))
