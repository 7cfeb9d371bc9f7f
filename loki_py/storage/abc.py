"""What a store of objects promises, whatever is behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa

KEY_BYTES_MAX = 1024
"""Longer keys are refused; S3 has the same limit."""

KEY_PART_BYTES_MAX = 255
"""No part between slashes is longer; file systems have the same limit."""


class ObjectStore(Protocol):
    """A flat namespace of immutable objects.

    Keys are parts joined by `/`; `check_key` says which are keys, and no key is
    a folder of another. Objects are written whole and never changed: a key is
    put once, and putting the same bytes again is harmless. An object that was
    put is durable, and visible to all other verbs at once and from every
    process; one that was not put whole is not visible at all.

    The verbs block: pyarrow reads Parquet with blocking calls, and the clients
    of S3 block too. They are called on worker threads, several at once; the
    event loop never calls them.

    Every verb raises Unavailable where the store cannot answer now.
    """

    def put(self, key: str, source: bytes | Path) -> None:
        """Store the bytes, or a copy of the file, under `key`."""
        ...

    def get(self, key: str) -> bytes:
        """Return the whole object.

        Raises: ObjectNotFound.
        """
        ...

    def open_input(self, key: str) -> "pa.NativeFile":
        """Return the object for random access; the caller closes it.

        It is a pyarrow file, or a Python file that also has pyarrow's `size`,
        `read_at` and `read_buffer`. `read_at` is for several threads at once.
        What was read stays valid after the close and after a `delete`.

        Raises: ObjectNotFound.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with `prefix`, in ascending order.

        `prefix` need not end at a slash. Keys put or deleted meanwhile may or
        may not be among them.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object; a key that is not there is no error."""
        ...

    def size(self, key: str) -> int:
        """Return the length of the object in bytes.

        Raises: ObjectNotFound.
        """
        ...


def check_key(key: str) -> None:
    """Refuse what is no key: parts that are empty or begin with a dot, length.

    Raises: ValueError. Tenant names are percent-encoded before they get into a
    key, so only a mistake of ours gets here.
    """
    if len(key.encode()) > KEY_BYTES_MAX:
        raise ValueError(f"key is {len(key.encode())} bytes; limit is {KEY_BYTES_MAX}")
    if not key.isprintable() or "\\" in key:
        raise ValueError(f"key {key!r} has a control character or a backslash")
    for part in key.split("/"):
        if not part or part.startswith("."):
            raise ValueError(f"key {key!r} has the part {part!r}")
        if len(part.encode()) > KEY_PART_BYTES_MAX:
            raise ValueError(
                f"key {key!r} has a part of {len(part.encode())} bytes; "
                f"limit is {KEY_PART_BYTES_MAX}"
            )


def check_prefix(prefix: str) -> None:
    """Refuse what no key starts with.

    Raises: ValueError.
    """
    if prefix:
        check_key(prefix.removesuffix("/"))
