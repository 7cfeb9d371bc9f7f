"""Rebuild what a damaged index file said from the packs themselves.

Every pack tells its own chunks in its footer. Packs that no readable index file
names are what damaged ones can have named. Among them may be packs whose flush
was interrupted and done again: their entries are duplicates, which reading drops.

Blocking; called on threads.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

from loki_py.chunks.pack_reader import Pack
from loki_py.errors import CorruptData, ObjectNotFound
from loki_py.index.files import (
    IndexFile,
    PackEntry,
    decode_index_file,
    encode_index_file,
)
from loki_py.model.object_keys import prefix_of
from loki_py.storage.abc import ObjectStore

_WRITER = "repair"


@dataclass(frozen=True, slots=True)
class RebuiltIndex:
    """What the packs said.

    Attributes:
        file: their chunks; None where no pack was left.
        packs_count: packs looked at and read.
        problems: packs that cannot tell their chunks, in words.
    """

    file: IndexFile | None
    packs_count: int
    problems: tuple[str, ...]


def rebuild_index(
    store: ObjectStore, tenant: str, *, known: Collection[str]
) -> RebuiltIndex:
    """Return an index of the tenant's packs that are not known.

    Reads those packs whole, one at a time.

    Raises: Unavailable.
    """
    entries: list[PackEntry] = []
    problems: list[str] = []
    for key in store.list(prefix_of(tenant, "packs")):
        if key in known:
            continue
        try:
            entries.append(_entry_of(store, key))
        except CorruptData as error:
            problems.append(f"pack {key} is damaged: {error}")
        except ObjectNotFound:
            continue
    if not entries:
        return RebuiltIndex(None, 0, tuple(problems))
    data = encode_index_file(entries, tenant=tenant, writer=_WRITER)
    return RebuiltIndex(decode_index_file(data), len(entries), tuple(problems))


def _entry_of(store: ObjectStore, key: str) -> PackEntry:
    with store.open_input(key) as file:
        buffer = file.read_buffer()
    pack = Pack.open(buffer)
    # How much of the object is footer is not known; all of it surely holds it.
    return PackEntry(
        key,
        buffer.size,
        buffer.size,
        hashlib.sha256(buffer).hexdigest(),
        pack.footer.chunks,
    )
