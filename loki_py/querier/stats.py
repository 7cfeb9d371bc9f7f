"""What one query cost, from waiting to the last line read."""

from dataclasses import dataclass, field

from loki_py.model.scan import NOTHING_SKIPPED, ReadStats, Skipped


@dataclass(frozen=True, slots=True)
class QueryCost:
    """What one query cost.

    Attributes:
        read: what reading cost, all leaves together.
        exec_ns: from the start of work to its end.
        queue_ns: waiting before that.
        subqueries_count: parts that the query was split into.
        rows_kept: entries that survived the pipeline.
        rows_returned: entries in the answer.
        streams_matched: streams that the selectors matched.
        ingesters_reached: ingesters that were asked.
        bytes_estimated: line bytes of the chunks that the index named.
        skipped: chunks that were passed over.
    """

    read: ReadStats = field(default_factory=ReadStats)
    exec_ns: int = 0
    queue_ns: int = 0
    subqueries_count: int = 1
    rows_kept: int = 0
    rows_returned: int = 0
    streams_matched: int = 0
    ingesters_reached: int = 0
    bytes_estimated: int = 0
    skipped: Skipped = NOTHING_SKIPPED
