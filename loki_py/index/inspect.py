"""What is in an index file, as rows for people and programs.

Tables follow each other; a row that has other keys than the one before it
starts the next table. Times are ns, inclusive. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import pyarrow as pa

from loki_py.index.files import decode_index_file

Row: TypeAlias = Mapping[str, Any]


def index_rows(buffer: "pa.Buffer") -> Iterator[Row]:
    """Yield the file itself, the files it replaces, its packs, then its chunks.

    Raises: CorruptData where the bytes are not a whole index file.
    """
    file = decode_index_file(buffer)
    yield {
        "tenant": file.tenant,
        "writer": file.writer,
        "bytes": len(buffer),
        "packs": len(file.packs),
        "streams": len(file.labels),
        "chunks": len(file.chunks),
        "entries": int(file.chunks["entries"].sum()),
        "line_bytes": int(file.chunks["bytes"].sum()),
    }
    for key in file.replaces:
        yield {"replaces": key}
    for number, pack in enumerate(file.packs):
        yield {
            "pack": number,
            "key": pack.key,
            "bytes": pack.object_bytes,
            "footer_bytes": pack.footer_bytes,
            "sha256": pack.sha256,
        }
    for chunk in file.chunks.iter_rows(named=True):
        series = chunk.pop("series")
        yield {"labels": file.labels[series].as_py(), **chunk}
