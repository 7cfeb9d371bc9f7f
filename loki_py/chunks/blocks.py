"""Block file: layout, header and constants (grammar follows)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockFileHeader:
    """Where the entries of a block file came from.

    Attributes:
        ingester_id: the instance that wrote it.
        generation: the generation that was sealed.
        segment_max: highest WAL segment whose entries are all in this file.
    """

    ingester_id: str
    generation: int
    segment_max: int
