"""Objects in a directory, each a file, written by write-then-rename.

The guarantees of `ObjectStore` hold on any file system whose rename is atomic
and whose fsync tells the truth; nothing is weaker than the protocol. Several
processes may share the directory.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from loki_py.errors import ObjectNotFound, Unavailable
from loki_py.storage.abc import check_key, check_prefix

UNFINISHED_FOLDER = ".unfinished"
"""Objects are written here before they get their names; no key begins so."""


class FilesystemStore:
    """An `ObjectStore` below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._unfinished = root / UNFINISHED_FOLDER

    def start(self) -> None:
        """Make the directory; remove what puts left that were cut off.

        Raises: Unavailable where the directory cannot be written.
        """
        with _answering(self._root):
            self._unfinished.mkdir(parents=True, exist_ok=True)
            for leftover in self._unfinished.iterdir():
                _remove_unless_in_use(leftover)

    def put(self, key: str, source: bytes | Path) -> None:
        """Write beside, sync, rename, sync the folders."""
        target = self._path_of(key)
        with _answering(key):
            unfinished = self._unfinished / secrets.token_hex(8)
            try:
                with unfinished.open("xb") as file:
                    # Tells `start` of another process that this is in use.
                    fcntl.flock(file, fcntl.LOCK_EX)
                    _fill(file.fileno(), source)
                    os.fsync(file.fileno())
                    target.parent.mkdir(parents=True, exist_ok=True)
                    unfinished.rename(target)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            self._sync_folders(target.parent)

    def get(self, key: str) -> bytes:
        """Return the file's bytes."""
        path = self._path_of(key)
        with _finding(key):
            return path.read_bytes()

    def open_input(self, key: str) -> "pa.NativeFile":
        """Return the file, memory-mapped."""
        path = self._path_of(key)
        with _finding(key):
            if _length_of(path) == 0:
                return pa.BufferReader(b"")  # nothing to map
            return pa.memory_map(str(path))

    def list(self, prefix: str) -> Iterator[str]:
        """Yield keys folder by folder; memory is that of the largest folder."""
        check_prefix(prefix)
        above = prefix.rpartition("/")[0]
        with _answering(f"{prefix}*"):
            yield from _keys_below(self._root / above, above, prefix)

    def delete(self, key: str) -> None:
        """Remove the file, durably; its folder stays."""
        path = self._path_of(key)
        with contextlib.suppress(ObjectNotFound), _finding(key):
            path.unlink()
            _sync_folder(path.parent)

    def size(self, key: str) -> int:
        """Return the file's length."""
        path = self._path_of(key)
        with _finding(key):
            return _length_of(path)

    def _path_of(self, key: str) -> Path:
        check_key(key)
        return self._root / key

    def _sync_folders(self, folder: Path) -> None:
        """Make the name of an object durable, and those of its folders."""
        # Not only the folders that this put made: another process may have made
        # one a moment ago and not have synced it yet.
        while folder != self._root.parent:
            _sync_folder(folder)
            folder = folder.parent


@contextlib.contextmanager
def _answering(what: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"object store: {what}: {error}") from error


@contextlib.contextmanager
def _finding(key: str) -> Iterator[None]:
    with _answering(key):
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise ObjectNotFound(f"no object {key}") from error


def _length_of(path: Path) -> int:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise IsADirectoryError(f"{path} is a folder")
    return found.st_size


def _fill(descriptor: int, source: bytes | Path) -> None:
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        if isinstance(source, Path):
            with source.open("rb") as data:
                shutil.copyfileobj(data, file, length=1 << 20)
        else:
            file.write(source)


def _keys_below(folder: Path, key: str, prefix: str) -> Iterator[str]:
    """Yield the keys in a folder whose own key is `key`, ascending as texts."""
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    found = {}
    for entry in entries:
        if entry.name.startswith("."):
            continue
        entry_key = f"{key}/{entry.name}" if key else entry.name
        if entry.is_dir():
            entry_key += "/"
        shared = min(len(entry_key), len(prefix))
        if entry_key[:shared] == prefix[:shared]:
            found[entry_key] = entry
    for entry_key in sorted(found):
        if entry_key.endswith("/"):
            yield from _keys_below(
                Path(found[entry_key].path), entry_key.removesuffix("/"), prefix
            )
        elif entry_key.startswith(prefix):
            yield entry_key


def _remove_unless_in_use(leftover: Path) -> None:
    gone_or_in_use = contextlib.suppress(FileNotFoundError, BlockingIOError)
    with gone_or_in_use, leftover.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        leftover.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
