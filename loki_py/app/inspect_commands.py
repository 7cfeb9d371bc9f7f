"""`loki-py inspect`: what is in a file, without loading all of it."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from loki_py.app.tables import Row, aligned_lines, json_lines

app = typer.Typer(
    help="Print what is in a file.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


@app.command()
def wal(path: File, *, as_json: Json = False) -> None:
    """Print the records of a WAL segment, and where it is damaged."""
    from loki_py.app.inspect_wal import wal_rows  # noqa: PLC0415  # quick start

    _print(wal_rows(_mapped(path)), as_json=as_json)


def _mapped(path: Path) -> "object":
    import pyarrow as pa  # noqa: PLC0415  # quick start

    if path.stat().st_size == 0:
        return pa.py_buffer(b"")
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()


def _print(rows: Iterable[Row], *, as_json: bool) -> None:
    for line in json_lines(rows) if as_json else aligned_lines(rows):
        sys.stdout.write(f"{line}\n")
