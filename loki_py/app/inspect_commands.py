"""`loki-py inspect`: what is in a file, without loading all of it."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loki_py.app.tables import Row, aligned_lines, json_lines

if TYPE_CHECKING:
    import pyarrow as pa

app = typer.Typer(
    help="Print what is in a file.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[
    Path,
    typer.Argument(
        exists=True, dir_okay=False, readable=True, help="Below a data directory."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Check = Annotated[
    bool, typer.Option("--check", help="Read everything and compare checksums.")
]


@app.command()
def wal(path: File, *, as_json: Json = False) -> None:
    """Print the records of a WAL segment, and where it is damaged."""
    from loki_py.app.inspect_wal import wal_rows  # noqa: PLC0415  # quick start

    _print(wal_rows(_mapped(path)), as_json=as_json)


@app.command()
def blocks(path: File, *, check: Check = False, as_json: Json = False) -> None:
    """Print the tenants, blocks and streams of a block file."""
    from loki_py.chunks.inspect import block_file_rows  # noqa: PLC0415

    _print(block_file_rows(_mapped(path), check=check), as_json=as_json)


@app.command()
def pack(path: File, *, check: Check = False, as_json: Json = False) -> None:
    """Print the row groups and chunks of a pack."""
    from loki_py.chunks.inspect import pack_rows  # noqa: PLC0415

    _print(pack_rows(_mapped(path), check=check), as_json=as_json)


@app.command()
def index(path: File, *, as_json: Json = False) -> None:
    """Print the packs and chunks that an index file names."""
    from loki_py.index.inspect import index_rows  # noqa: PLC0415

    _print(index_rows(_mapped(path)), as_json=as_json)


def _mapped(path: Path) -> "pa.Buffer":
    """Return the file's bytes; only what is looked at is read."""
    import pyarrow as pa  # noqa: PLC0415

    if path.stat().st_size == 0:
        return pa.py_buffer(b"")
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def _print(rows: Iterable[Row], *, as_json: bool) -> None:
    for line in json_lines(rows) if as_json else aligned_lines(rows):
        sys.stdout.write(f"{line}\n")
