"""Generations: what one run of WAL segments and one block file hold.

All heads of all tenants belong to one open generation. When it is sealed, the
next one starts with a new WAL segment; once its block file is durable, its WAL
segments may go. Pure.
"""

from dataclasses import dataclass, field

from loki_py.ingester.head import Head, Runs
from loki_py.ingester.stream_table import StreamTable
from loki_py.model.batch import EntryBatch

SEALED_MAX = 2
"""Sealed generations that may wait for their cut; more, and pushes wait."""


@dataclass(slots=True)
class Generation:
    """The heads since the last seal.

    Attributes:
        number: counts generations over all runs of the process.
        segment_last: the newest WAL segment with its entries; None while open.
        created_ns: wall clock at its first append; 0 while it is empty.
        heads: by tenant.
        bytes: what the heads hold together.
    """

    number: int
    segment_last: int | None = None
    created_ns: int = 0
    heads: dict[str, Head] = field(default_factory=dict)
    bytes: int = 0

    def append(
        self,
        tenant: str,
        piece: EntryBatch,
        runs: Runs,
        table: StreamTable,
        *,
        now_ns: int,
    ) -> None:
        """Add a push's accepted rows, `stream` holding refs of `table`."""
        head = self.heads.get(tenant)
        if head is None:
            head = self.heads[tenant] = Head()
        if not self.created_ns:
            self.created_ns = now_ns
        before = head.bytes
        head.append(piece, runs, table)
        self.bytes += head.bytes - before

    def is_due(self, *, bytes_max: int, age_ns_max: int, now_ns: int) -> bool:
        """Return whether it is large or old enough to be sealed."""
        if not self.created_ns:
            return False
        return self.bytes >= bytes_max or now_ns - self.created_ns >= age_ns_max
