"""Selections elsewhere: what is told of them, and the calls that read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from loki_py.errors import CorruptData
from loki_py.logql.question import LeafQuestion
from loki_py.model.labels import LabelSet
from loki_py.model.scan import Columns, Skipped
from loki_py.model.shares import Share
from loki_py.transport.abc import Selection
from loki_py.transport.partials import question_asked
from loki_py.transport.remote_units import counts_of
from loki_py.wire import messages as wire
from loki_py.wire.cells import Cells
from loki_py.wire.digests import KIND
from loki_py.wire.messages_select import cells_told, columns_asked


class SessionPeer(Protocol):
    """One instance; sends what is asked, with a deadline."""

    async def fetch_rows(self, asked: wire.ReadAsked, bits: bytes) -> list[bytes]: ...

    async def fetch_digests(self, asked: wire.DigestsAsked, bits: bytes) -> bytes: ...

    async def fetch_partials(
        self, asked: wire.MapAsked, bits: bytes
    ) -> list[bytes]: ...


@dataclass(frozen=True, slots=True)
class SessionCalls:
    """The calls of one selection; see `remote_units.Calls`."""

    ingester: SessionPeer
    tenant: str
    name: str

    async def read(
        self, unit: int, columns: Columns, share: Share | None
    ) -> list[bytes]:
        asked = wire.ReadAsked(
            self.tenant, self.name, unit, columns_asked(columns), _share_asked(share)
        )
        return await self.ingester.fetch_rows(asked, _bits_of(share))

    async def digests(self, unit: int, share: Share | None) -> bytes:
        asked = wire.DigestsAsked(self.tenant, self.name, unit, _share_asked(share))
        return await self.ingester.fetch_digests(asked, _bits_of(share))

    async def mapped(
        self, units: Sequence[int], question: LeafQuestion, share: Share
    ) -> list[bytes]:
        asked = wire.MapAsked(
            self.tenant,
            self.name,
            list(units),
            wire.ShareAsked(list(share.spans)),
            question_asked(question),
        )
        return await self.ingester.fetch_partials(asked, _bits_of(share))


def _share_asked(share: Share | None) -> wire.ShareAsked | None:
    return None if share is None else wire.ShareAsked(list(share.spans))


def _bits_of(share: Share | None) -> bytes:
    return b"" if share is None else np.packbits(share.streams).tobytes()


def without_units(answer: wire.SelectAnswered) -> Selection:
    """Return what was told of a selection beside its units."""
    return Selection(
        (),
        frozenset(answer.packs_covered),
        answer.chunks_matched,
        tuple(answer.missing),
        skipped=counts_of(Skipped, answer.skipped),
    )


def cells_in(
    answer: wire.SelectAnswered, payload: memoryview, streams: Sequence[LabelSet]
) -> Cells | None:
    """Return the cells of a selection, None where they say nothing here.

    Raises: CorruptData.
    """
    cells = cells_told(answer, payload) if answer.digests == KIND else None
    if cells is not None and len(cells) and int(cells.stream.max()) >= len(streams):
        raise CorruptData(f"cell refers to stream {cells.stream.max()}")
    return cells
