"""What an ingester holds in memory, changed on the event loop only. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from loki_py.ingester.generation import Generation
from loki_py.ingester.head import Head
from loki_py.ingester.stream_table import StreamTable


@dataclass(slots=True)
class IngesterState:
    """Streams by tenant, and the generations that are not in block files yet.

    Attributes:
        tables: the streams of each tenant.
        appended_ns: wall clock at each tenant's last append.
        open: the generation that takes appends.
        sealed: generations that wait for their cut, oldest first.
    """

    tables: dict[str, StreamTable] = field(default_factory=dict)
    appended_ns: dict[str, int] = field(default_factory=dict)
    open: Generation = field(default_factory=lambda: Generation(1))
    sealed: list[Generation] = field(default_factory=list)

    def table_of(self, tenant: str) -> StreamTable:
        """Return the tenant's streams, an empty table for a new tenant."""
        table = self.tables.get(tenant)
        if table is None:
            table = self.tables[tenant] = StreamTable()
        return table

    def heads_of(self, tenant: str) -> Iterator[tuple[int, Head]]:
        """Yield (generation number, head) of the tenant, oldest first."""
        for generation in (*self.sealed, self.open):
            head = generation.heads.get(tenant)
            if head is not None:
                yield generation.number, head

    @property
    def head_bytes(self) -> int:
        """Bytes of all heads, sealed ones included."""
        return self.open.bytes + sum(each.bytes for each in self.sealed)
