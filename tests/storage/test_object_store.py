"""Object stores: every store keeps the same promises."""

import os
from pathlib import Path

import pytest

from loki_py.errors import ObjectNotFound, Unavailable
from loki_py.storage.filesystem import UNFINISHED_FOLDER, FilesystemStore
from loki_py.storage.memory import MemoryStore


def make_filesystem_store(tmp_path):
    store = FilesystemStore(tmp_path / "deep" / "bucket")
    store.start()
    return store


STORES = {"memory": lambda _: MemoryStore(), "filesystem": make_filesystem_store}


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return STORES[request.param](tmp_path)


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000])
def test_object_comes_back_as_it_was_put(store, data):
    store.put("a/packs/1.parquet", data)

    assert store.get("a/packs/1.parquet") == data
    assert store.size("a/packs/1.parquet") == len(data)
    with store.open_input("a/packs/1.parquet") as source:
        assert source.read() == data


def test_file_is_copied_not_shared(store, tmp_path):
    """What happens to the source afterwards does not change the object."""
    source = tmp_path / "source"
    source.write_bytes(b"as it was")
    store.put("key", source)
    source.write_bytes(b"changed")

    assert store.get("key") == b"as it was"


def test_putting_the_same_bytes_again_is_harmless(store):
    store.put("key", b"same")
    store.put("key", b"same")

    assert store.get("key") == b"same"
    assert list(store.list("")) == ["key"]


@pytest.mark.parametrize("verb", ["get", "size", "open_input"])
@pytest.mark.parametrize("key", ["missing", "folder", "folder/file/below"])
def test_missing_object_is_not_found(store, verb, key):
    store.put("folder/file", b"x")

    with pytest.raises(ObjectNotFound, match=key):
        getattr(store, verb)(key)


def test_random_access_reads_ranges(store):
    store.put("key", b"0123456789")
    with store.open_input("key") as source:
        source.seek(3)

        assert source.read(4) == b"3456"
        assert source.size() == 10


def test_open_object_outlives_its_deletion(store):
    store.put("key", b"0123456789")
    source = store.open_input("key")
    store.delete("key")

    assert source.read() == b"0123456789"


def test_deleted_object_is_gone_and_may_be_deleted_again(store):
    store.put("a/key", b"x")
    store.delete("a/key")
    store.delete("a/key")
    store.delete("never/there")

    assert list(store.list("")) == []
    with pytest.raises(ObjectNotFound):
        store.get("a/key")


KEYS = ["a", "b.x/1", "b/1", "b/2/3", "b0", "bb/1"]


@pytest.mark.parametrize("prefix", ["", "b", "b/", "b/2", "b/2/", "bb", "c", "b/1"])
def test_list_is_ascending_and_exact_for_any_prefix(store, prefix):
    """A prefix is a beginning of the key's text, not only a folder."""
    for key in reversed(KEYS):
        store.put(key, b"")

    wanted = sorted(key for key in KEYS if key.startswith(prefix))
    assert list(store.list(prefix)) == wanted


BAD_KEYS = [
    "",
    "/etc/passwd",
    "../outside",
    "a/../../outside",
    "a//b",
    "a/./b",
    "a/",
    ".unfinished/x",
    "a\x00b",
    "a\nb",
    "a\\b",
    "p" * 256,
    "/".join(["part"] * 300),
]


@pytest.mark.parametrize("verb", ["get", "size", "open_input", "delete", "put"])
@pytest.mark.parametrize("key", BAD_KEYS, ids=range(len(BAD_KEYS)))
def test_what_is_no_key_is_refused(store, verb, key):
    arguments = (key, b"x") if verb == "put" else (key,)
    with pytest.raises(ValueError, match="key"):
        getattr(store, verb)(*arguments)


@pytest.mark.parametrize("prefix", ["/", "../", "a/../../", ".unfinished/"])
def test_prefix_outside_the_store_is_refused(store, prefix):
    with pytest.raises(ValueError, match="key"):
        list(store.list(prefix))


class DiskError(OSError):
    pass


@pytest.mark.parametrize("call", ["fsync", "mkdir", "rename"])
def test_put_that_the_disk_refuses_leaves_nothing(tmp_path, monkeypatch, call):
    """Neither the object nor its unfinished copy is there after a failure."""
    store = make_filesystem_store(tmp_path)

    def fail(*_args, **_kwargs):
        raise DiskError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(Unavailable, match="No space left"):
            store.put("new/key", b"x")

    assert list(store.list("")) == []
    assert list((tmp_path / "deep/bucket" / UNFINISHED_FOLDER).iterdir()) == []


def test_missing_source_file_is_not_a_missing_object(tmp_path):
    store = make_filesystem_store(tmp_path)

    with pytest.raises(Unavailable, match="no-such-file"):
        store.put("key", tmp_path / "no-such-file")


def test_leftover_of_an_interrupted_put_is_invisible_and_removed(tmp_path):
    store = make_filesystem_store(tmp_path)
    leftover = tmp_path / "deep/bucket" / UNFINISHED_FOLDER / "0123"
    leftover.write_bytes(b"half an obj")

    assert list(store.list("")) == []
    make_filesystem_store(tmp_path)
    assert not leftover.exists()


def test_start_leaves_the_unfinished_put_of_another_process_alone(tmp_path):
    import fcntl

    make_filesystem_store(tmp_path)
    unfinished = tmp_path / "deep/bucket" / UNFINISHED_FOLDER / "4567"
    with unfinished.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        make_filesystem_store(tmp_path)

        assert unfinished.exists()


def test_objects_are_there_for_a_second_store_on_the_same_directory(tmp_path):
    make_filesystem_store(tmp_path).put("a/key", b"x")

    assert make_filesystem_store(tmp_path).get("a/key") == b"x"


def test_put_syncs_the_file_and_every_folder_above_it(tmp_path, monkeypatch):
    """A power failure after `put` loses neither the bytes nor any name."""
    store = make_filesystem_store(tmp_path)
    synced = []
    sync = os.fsync

    def fsync(file):
        descriptor = file if isinstance(file, int) else file.fileno()
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store.put("a/b/key", b"x")

    bucket = str(tmp_path / "deep/bucket")
    assert synced[0].startswith(f"{bucket}/{UNFINISHED_FOLDER}/")
    assert synced[1:] == [f"{bucket}/a/b", f"{bucket}/a", bucket]
