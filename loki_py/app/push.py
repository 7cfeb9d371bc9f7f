"""The push command: files or standard input become one stream each."""

import contextlib
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from loki_py.app.http_client import LokiClient
from loki_py.app.stamps import BatchSize, LineClock, cut
from loki_py.client.bodies import JSON_HEADERS, PUSH
from loki_py.client.connection import RequestFailed
from loki_py.errors import ValidationFailed

READ_BYTES = 1 << 20
NOBODY_MAY = {401, 403}
"""What is answered so is answered so for every push."""

WAIT_S = 0.05
"""How long a pipe may be silent before what came from it is pushed."""


class Push(msgspec.Struct):
    """One push body with one stream."""

    streams: "list[PushedStream]"


class PushedStream(msgspec.Struct):
    """A stream of a push body."""

    stream: dict[str, str]
    values: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Input:
    """Something to push, and its labels; no path means standard input."""

    path: Path | None
    labels: Mapping[str, str]

    @property
    def name(self) -> str:
        """How it is called in messages."""
        return "standard input" if self.path is None else str(self.path)


@dataclass(slots=True)
class PushCount:
    """What came of pushing."""

    lines: int = 0
    refused_pushes: int = 0


@dataclass(slots=True)
class Pusher:
    """Pushes lines, one request after the other.

    Attributes:
        advance: told how many bytes of input are done.
        say: told what the server refused.
    """

    client: LokiClient
    size: BatchSize
    pattern: "re.Pattern[str] | None"
    time_format: str
    advance: Callable[[int], None]
    say: Callable[[str], None]

    def push(self, source: Input) -> PushCount:
        """Push every line; a push that the server calls wrong is not repeated.

        Raises: RequestFailed where the server can not be reached, or takes none
        of us; ValidationFailed where a line's time can not be read; OSError.
        """
        clock = LineClock(self.pattern, self.time_format)
        count = PushCount()
        for lines in lines_of_input(source.path):
            for part in cut(lines, self.size):
                self._push_one(source, part, clock, count)
                self.advance(sum(map(len, part)) + len(part))
        return count

    def _push_one(
        self,
        source: Input,
        lines: Sequence[bytes],
        clock: LineClock,
        count: PushCount,
    ) -> None:
        texts = [line.decode("utf-8", "replace") for line in lines]
        try:
            stamps = clock.stamp(texts, now_ns=time.time_ns())
        except ValueError as error:
            raise ValidationFailed(f"{source.name}: {error}") from None
        values = list(zip(map(str, stamps), texts, strict=True))
        body = msgspec.json.encode(Push([PushedStream(dict(source.labels), values)]))
        try:
            self.client.post(PUSH, body, JSON_HEADERS)
        except RequestFailed as error:
            if error.status in NOBODY_MAY or not 400 <= error.status < 429:
                raise
            count.refused_pushes += 1
            self.say(f"{source.name}: {error}")
        count.lines += len(lines)


def push_all(
    inputs: Sequence[Input],
    client: LokiClient,
    size: BatchSize,
    *,
    pattern: "re.Pattern[str] | None",
    time_format: str,
    has_progress: bool,
) -> int:
    """Push every input in order; return how many pushes were refused.

    Raises: RequestFailed, ValidationFailed, OSError.
    """
    refused = lines = 0
    shown = _progress_of(inputs) if has_progress else contextlib.nullcontext(_ignore)
    with shown as advance:
        pusher = Pusher(
            client,
            size,
            pattern,
            time_format,
            advance=advance,
            say=lambda text: print(text, file=sys.stderr),
        )
        for source in inputs:
            count = pusher.push(source)
            refused += count.refused_pushes
            lines += count.lines
    if has_progress:
        print(f"{lines} lines pushed, {refused} pushes refused", file=sys.stderr)
    return refused


@contextlib.contextmanager
def _progress_of(inputs: Sequence[Input]) -> Iterator[Callable[[int], None]]:
    """Show how far pushing is; give what is to be told of bytes done."""
    from rich.console import Console  # noqa: PLC0415  # slow to import
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("pushing", total=total_bytes_of(inputs))
        yield lambda count: progress.advance(task, count)


def _ignore(_count: int) -> None:
    """Take note of nothing."""


def inputs_of(paths: Sequence[Path], labels: Mapping[str, str]) -> list[Input]:
    """Return what to push; several files are told apart by a label `filename`.

    No path, and the path `-`, mean standard input.
    """
    inputs = []
    for path in paths or [Path("-")]:
        if str(path) == "-":
            inputs.append(Input(None, labels))
        else:
            own = {"filename": str(path)} if len(paths) > 1 else {}
            inputs.append(Input(path, {**own, **labels}))
    return inputs


def total_bytes_of(inputs: Sequence[Input]) -> int | None:
    """Return the size of all inputs, None where one is not a file.

    Raises: OSError.
    """
    total = 0
    for source in inputs:
        if source.path is None or not source.path.is_file():
            return None
        total += source.path.stat().st_size
    return total


def lines_of_input(path: Path | None) -> Iterator[list[bytes]]:
    """Yield runs of lines without their line ends; the last may have none.

    Args:
        path: None for standard input.
    """
    if path is None:
        yield from _split(_piped(sys.stdin.buffer))
    else:
        with path.open("rb") as file:
            yield from _split(iter(lambda: file.read(READ_BYTES), b""))


def _piped(file: BinaryIO) -> Iterator[bytes]:
    """Yield what comes from a pipe: much at once, or little after a silence."""
    number = file.fileno()
    held: list[bytes] = []
    size = 0
    while True:
        ready, _, _ = select.select([number], [], [], WAIT_S if held else None)
        chunk = os.read(number, READ_BYTES) if ready else b""
        if chunk:
            held.append(chunk)
            size += len(chunk)
        if held and (not chunk or size >= READ_BYTES):
            yield b"".join(held)
            held, size = [], 0
        if ready and not chunk:
            return


def _split(chunks: Iterator[bytes]) -> Iterator[list[bytes]]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines
    if rest:
        yield [rest]
