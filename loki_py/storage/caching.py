"""An object store with a cache before it: objects in pages, misses in runs.

A page is a fixed part of an object. What is read is looked up page by page;
neighbouring pages that the cache does not have are one request to the store.
A value that does not verify is a miss. Does I/O.
"""

import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from loki_py.errors import TruncatedData
from loki_py.storage.abc import ObjectStore, check_key
from loki_py.storage.cache import Cache, cache_key, decode_value, encode_value
from loki_py.storage.cache_metrics import CacheMetrics
from loki_py.storage.ranges import READ_BYTES_MIN, RangeInput

PAGE_BYTES = READ_BYTES_MIN
"""One value of the cache; the end of an object that comes with its opening is
as long, so that it holds the last page."""

_SIZE = struct.Struct("<Q")
_SIZE_NAME = "size"


class Input(Protocol):
    """An open object, as far as it is needed here."""

    def read_at(self, nbytes: int, offset: int) -> bytes:
        """Return these bytes."""
        ...

    def size(self) -> int:
        """Return the bytes of the object."""
        ...

    def close(self) -> None:
        """Give it back."""
        ...


class CachingStore:
    """An `ObjectStore` that reads from a cache what the cache has.

    Answers are those of the store behind, with one difference: bytes of an
    object that another process deleted may still be read for a while.
    """

    def __init__(self, store: ObjectStore, cache: Cache, metrics: CacheMetrics) -> None:
        self._store = store
        self._cache = cache
        self._metrics = metrics

    def put(self, key: str, source: bytes | Path) -> None:
        """Put; what nobody read is not cached."""
        self._store.put(key, source)

    def get(self, key: str) -> bytes:
        """Return the object, from the cache where all of it is there."""
        check_key(key)
        size = self._cached_size(key)
        if size is not None:
            pages = range(_pages_count(size))
            found = self._cached_pages(key, pages, size)
            if len(found) == len(pages):
                return b"".join(found[page] for page in pages)
        data = self._store.get(key)
        self._keep_size(key, len(data))
        self._keep_pages(key, 0, data)
        return data

    def open_input(self, key: str) -> RangeInput:
        """Return the object; the store is asked for what the cache lacks."""
        check_key(key)
        size = self._cached_size(key)
        opened = _Opened(self._store, key)
        if size is None:
            size = opened.input().size()
            self._keep_size(key, size)
        return _CachedInput(self, opened, key, size)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield what the store has; never cached."""
        yield from self._store.list(prefix)

    def delete(self, key: str) -> None:
        """Remove the object, and its size from the cache, so that it is gone."""
        self._store.delete(key)
        self._cache.forget([cache_key(object_key=key, what=_SIZE_NAME)])

    def size(self, key: str) -> int:
        """Return what the store says."""
        return self._store.size(key)

    def fetch(self, opened: "_Opened", offset: int, length: int, size: int) -> bytes:
        """Return bytes of an open object, through the cache; never beyond its end."""
        first, last = offset // PAGE_BYTES, (offset + length - 1) // PAGE_BYTES
        pages = range(first, last + 1)
        found = dict(self._cached_pages(opened.key, pages, size))
        for run in _runs([page for page in pages if page not in found]):
            start = run[0] * PAGE_BYTES
            end = min((run[-1] + 1) * PAGE_BYTES, size)
            data = bytes(opened.input().read_at(end - start, start))
            if len(data) != end - start:
                raise TruncatedData(f"{len(data)} bytes of {end - start} came")
            found.update(self._keep_pages(opened.key, run[0], data))
        joined = b"".join(found[page] for page in pages)
        start = offset - first * PAGE_BYTES
        return joined[start : start + length]

    def _cached_size(self, key: str) -> int | None:
        found = self._looked_up([cache_key(object_key=key, what=_SIZE_NAME)])
        for payload in found.values():
            if len(payload) == _SIZE.size:
                return int(_SIZE.unpack(payload)[0])
        return None

    def _keep_size(self, key: str, size: int) -> None:
        name = cache_key(object_key=key, what=_SIZE_NAME)
        self._cache.put_many({name: encode_value(name, _SIZE.pack(size))})

    def _cached_pages(
        self, key: str, pages: Sequence[int], size: int
    ) -> Mapping[int, bytes]:
        """Return the pages that the cache has whole."""
        names = {_page_key(key, page): page for page in pages}
        found = self._looked_up(list(names))
        return {
            names[name]: payload
            for name, payload in found.items()
            if len(payload) == min(PAGE_BYTES, size - names[name] * PAGE_BYTES)
        }

    def _keep_pages(self, key: str, first: int, data: bytes) -> dict[int, bytes]:
        """Cache whole pages from number `first` on, and return them."""
        pages = {
            first + number: data[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]
            for number in range(_pages_count(len(data)))
        }
        names = {page: _page_key(key, page) for page in pages}
        self._cache.put_many(
            {names[page]: encode_value(names[page], pages[page]) for page in pages}
        )
        return pages

    def _looked_up(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the payloads of those values that verify."""
        self._metrics.fetched_keys.inc(len(keys))
        good = {}
        for key, value in self._cache.get_many(keys).items():
            payload = decode_value(key, value)
            if payload is None:
                self._metrics.corrupt.inc()
            else:
                good[key] = payload
        self._metrics.hits.inc(len(good))
        return good


class _Opened:
    """An object of the store behind that is opened when first needed."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        self.key = key
        self._store = store
        self._input: Input | None = None
        self._lock = threading.Lock()

    def input(self) -> Input:
        with self._lock:
            if self._input is None:
                self._input = self._store.open_input(self.key)
            return self._input

    def close(self) -> None:
        with self._lock:
            if self._input is not None:
                self._input.close()


class _CachedInput(RangeInput):
    """A `RangeInput` over the cache; closes what it opened."""

    def __init__(
        self, store: CachingStore, opened: _Opened, key: str, size: int
    ) -> None:
        super().__init__(
            lambda offset, length: store.fetch(opened, offset, length, size),
            size=size,
            read_bytes_min=0,  # pages are read whole anyway
        )
        self.name = key
        self._opened = opened

    def close(self) -> None:
        if not self.closed:
            self._opened.close()
        super().close()


def _pages_count(size: int) -> int:
    return -(-size // PAGE_BYTES)


def _page_key(key: str, page: int) -> bytes:
    return cache_key(object_key=key, what=f"{page * PAGE_BYTES}+{PAGE_BYTES}")


def _runs(pages: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield pages that follow each other together."""
    numbered = enumerate(pages)
    for _, run in groupby(numbered, key=lambda item: item[1] - item[0]):
        yield [page for _, page in run]
