"""A long range in parts: several at once, in files that outlive an interruption.

A part's file is `<prefix>_<start>_<end>.part`, with times in UTC; while it is
written it has `.tmp` behind that. A file that is there is a part that is done.

Parts show every label: what their entries have in common would be written nowhere.
"""

import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from loki_py.app.ask import Asker, IsMetric, LogAsk, print_lines
from loki_py.app.printing import lines_of, rows_of
from loki_py.config.units import NS_PER_S
from loki_py.errors import LokiError


class PartsRefused(LokiError):
    """What was asked for cannot be done in parts."""


@dataclass(frozen=True, slots=True)
class PartsAsk:
    """How a range is cut, and where its parts go.

    Attributes:
        workers_max: parts that are asked for at once; one means no cutting.
        prefix: of the parts' files; "" means standard output, in no order.
        overwrite: ask again for parts that are there.
        merge: copy the files to standard output, in order.
        keep: leave the files where they are after that.
    """

    duration_ns: int
    workers_max: int
    prefix: str = ""
    overwrite: bool = False
    merge: bool = False
    keep: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether anything is done in parts."""
        return self.workers_max > 1 or bool(self.prefix)

    def spans(self, asked: LogAsk) -> list[tuple[int, int]]:
        """Return the interval of each part, in the order of output."""
        if self.workers_max == 1:
            return [(asked.start_ns, asked.end_ns)]
        starts = range(asked.start_ns, asked.end_ns, self.duration_ns)
        spans = [(at, min(at + self.duration_ns, asked.end_ns)) for at in starts]
        return spans if asked.forward else spans[::-1]

    def path_of(self, start_ns: int, end_ns: int) -> Path:
        """Return the file of a part that is done."""
        return Path(f"{self.prefix}_{_stamp(start_ns)}_{_stamp(end_ns)}.part")


class Parts:
    """Asks for a range in parts."""

    def __init__(self, asker: Asker, parts: PartsAsk) -> None:
        self._asker = asker
        self._parts = parts
        self._look = replace(asker.look, has_common_labels=True)
        self._printing = threading.Lock()
        self._stopped = threading.Event()

    def query(self, asked: LogAsk) -> None:
        """Print all entries of a range, or write them to files.

        Raises: RequestFailed, PartsRefused, OSError; parts that were done are kept.
        """
        parts = self._parts
        if parts.workers_max > 1:
            asked = replace(asked, limit=0)  # which of the parts would it be of?
        asks = [
            replace(asked, start_ns=start_ns, end_ns=end_ns)
            for start_ns, end_ns in parts.spans(asked)
        ]
        with ThreadPoolExecutor(min(parts.workers_max, len(asks))) as workers:
            tasks = [workers.submit(self._part, ask) for ask in asks]
            try:
                for task in tasks:
                    self._merge(task)
            except BaseException:
                self._stopped.set()
                workers.shutdown(cancel_futures=True)
                raise

    def _merge(self, task: "Future[Path | None]") -> None:
        path = task.result()
        if path is None or not self._parts.merge:
            return
        with path.open(encoding="utf-8", newline="") as file:
            shutil.copyfileobj(file, sys.stdout)
        if not self._parts.keep:
            path.unlink()

    def _part(self, ask: LogAsk) -> Path | None:
        """Ask for a part; return its file."""
        if not self._parts.prefix:
            self._write(ask, sys.stdout)
            return None
        path = self._parts.path_of(ask.start_ns, ask.end_ns)
        if path.exists() and not self._parts.overwrite:
            self._asker.note(f"{path} is there already")
            return path
        written = path.with_name(f"{path.name}.tmp")
        try:
            with written.open("w", encoding="utf-8", newline="") as out:
                self._write(ask, out)
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)
        return path

    def _write(self, ask: LogAsk, out: TextIO) -> None:
        for lines in self._pages(ask):
            with self._printing:
                print_lines(lines, out)

    def _pages(self, ask: LogAsk) -> Iterator[list[str]]:
        try:
            for found in self._asker.pages(ask):
                if self._stopped.is_set():
                    raise PartsRefused("another part failed")
                yield list(lines_of(rows_of(found), self._look, ()))
        except IsMetric:
            raise PartsRefused(
                "a metric query is not asked in parts; leave out"
                " --parallel-max-workers and --part-path-prefix"
            ) from None


def _stamp(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns // NS_PER_S, tz=UTC):%Y%m%dT%H%M%S}"
