"""What keeps copies of bytes that object storage has, and may be wrong.

    value := "LKC" version:u8  key:u8[16]  length:u32le  crc:u32le  payload

`crc` is CRC-32C of the key, the length and the payload, so that a value that
was cut, changed or stored under another key is told from a good one. A cache
is never believed beyond that, and never makes an answer fail.
"""

import hashlib
import struct
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol

from loki_py.encoding.checksum import crc32c, crc32c_of_all

FORMAT_VERSION = 1
"""Of frames and keys; a new one leaves what older processes stored unread."""

KEY_BYTES = 16

_MAGIC = b"LKC" + bytes([FORMAT_VERSION])
_HEAD = struct.Struct("<4s16sII")

FRAME_BYTES = _HEAD.size
"""What a frame adds to its payload."""


class Cache(Protocol):
    """Bytes by keys, kept as long as there is room. For any thread; no verb raises.

    Objects are immutable, so nothing that was stored is ever wrong by age.
    """

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return the values that are there, as they were found."""
        ...

    def put_many(self, values: Mapping[bytes, bytes]) -> None:
        """Store the values, now or soon or not at all."""
        ...

    def forget(self, keys: Sequence[bytes]) -> None:
        """Drop the values where that can be done now."""
        ...


def cache_key(*, object_key: str, what: str, version: int = FORMAT_VERSION) -> bytes:
    """Return the key of one part of one object.

    Args:
        object_key: begins with its tenant, so that no two tenants share a key.
        what: which bytes of the object.
    """
    tenant = object_key.partition("/")[0]
    text = f"{version}\0{tenant}\0{object_key}\0{what}"
    return hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).digest()


def encode_value(key: bytes, payload: bytes) -> bytes:
    """Return the framed value."""
    head = _HEAD.pack(_MAGIC, key, len(payload), 0)[4:-4]
    crc = crc32c_of_all([head, payload])
    return _HEAD.pack(_MAGIC, key, len(payload), crc) + payload


def decode_value(key: bytes, value: bytes) -> bytes | None:
    """Return the payload, None where the value is not what was stored by `key`."""
    if len(value) < FRAME_BYTES:
        return None
    magic, stored_key, length, crc = _HEAD.unpack_from(value)
    if magic != _MAGIC or stored_key != key or length != len(value) - FRAME_BYTES:
        return None
    payload = value[FRAME_BYTES:]
    if crc32c(payload, seed=crc32c(value[4 : FRAME_BYTES - 4])) != crc:
        return None
    return payload


class EmbeddedCache:
    """Values in memory; those used longest ago go first.

    Args:
        bytes_max: bytes of values and keys that are kept.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._values: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bytes_kept(self) -> int:
        """Bytes that are kept now."""
        return self._bytes

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return what is kept of these."""
        found = {}
        with self._lock:
            for key in keys:
                value = self._values.get(key)
                if value is not None:
                    self._values.move_to_end(key)
                    found[key] = value
        return found

    def put_many(self, values: Mapping[bytes, bytes]) -> None:
        """Keep the values but those that are larger than all the room."""
        with self._lock:
            for key, value in values.items():
                if len(value) + len(key) > self._bytes_max:
                    continue
                self._drop(key)
                self._values[key] = value
                self._bytes += len(value) + len(key)
            while self._bytes > self._bytes_max:
                self._drop(next(iter(self._values)))

    def forget(self, keys: Sequence[bytes]) -> None:
        """Drop the values."""
        with self._lock:
            for key in keys:
                self._drop(key)

    def _drop(self, key: bytes) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._bytes -= len(value) + len(key)


class TieredCache:
    """A near cache before a far one; what the far one had is kept near."""

    def __init__(self, near: Cache, far: Cache) -> None:
        self._near = near
        self._far = far

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return what either has."""
        found = dict(self._near.get_many(keys))
        wanted = [key for key in keys if key not in found]
        if wanted:
            far = self._far.get_many(wanted)
            self._near.put_many(far)
            found.update(far)
        return found

    def put_many(self, values: Mapping[bytes, bytes]) -> None:
        """Store in both."""
        self._near.put_many(values)
        self._far.put_many(values)

    def forget(self, keys: Sequence[bytes]) -> None:
        """Drop from both."""
        self._near.forget(keys)
        self._far.forget(keys)
