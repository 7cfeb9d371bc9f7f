"""The `stats` object of a query's answer: what the query really cost."""

from typing import Any

from loki_py.model.scan import ReadStats, Skipped
from loki_py.querier.stats import QueryCost

_CACHES = (
    "chunk",
    "index",
    "result",
    "statsResult",
    "volumeResult",
    "seriesResult",
    "labelResult",
    "instantMetricResult",
    "logResult",
    "taskResult",
)
_CACHE_FIELDS = (
    "entriesFound",
    "entriesRequested",
    "entriesStored",
    "bytesReceived",
    "bytesSent",
    "requests",
    "downloadTime",
    "queryLengthServed",
)
_DATAOBJ_FIELDS = (
    "prePredicateDecompressedRows",
    "prePredicateDecompressedBytes",
    "prePredicateDecompressedStructuredMetadataBytes",
    "postPredicateRows",
    "postPredicateDecompressedBytes",
    "postPredicateStructuredMetadataBytes",
    "postFilterRows",
    "pagesScanned",
    "pagesDownloaded",
    "pagesDownloadedBytes",
    "pageBatches",
    "totalRowsAvailable",
    "totalPageDownloadTime",
    "wireBytesTransferred",
)


def stats_of(cost: QueryCost) -> dict[str, Any]:
    """Return the whole object, every key present, for Loki's clients.

    Heads are told under `ingester`, blocks and packs under `querier`. Beside what
    Loki tells, `skipped` says what was not read, and why.
    """
    read = cost.read
    has_metadata = read.metadata_bytes > 0
    return {
        "summary": _summary_of(cost),
        "querier": {
            "store": _store_of(
                read,
                has_metadata=has_metadata,
                decompressedBytes=read.block_bytes,
                decompressedLines=read.block_rows,
                compressedBytes=read.compressed_bytes,
                totalDuplicates=read.duplicates,
                postFilterLines=cost.rows_kept,
                decompressedStructuredMetadataBytes=read.metadata_bytes,
            ),
            "querierExecTime": cost.exec_ns,
        },
        "ingester": {
            "totalReached": cost.ingesters_reached,
            "totalChunksMatched": read.chunks_matched,
            "totalBatches": 0,
            "totalLinesSent": read.head_rows,
            "store": _store_of(
                None,
                has_metadata=has_metadata,
                headChunkBytes=read.head_bytes,
                headChunkLines=read.head_rows,
            ),
        },
        "cache": {name: dict.fromkeys(_CACHE_FIELDS, 0) for name in _CACHES},
        "index": {
            "totalChunks": read.chunks_matched,
            "postFilterChunks": read.chunks_read,
            "shardsDuration": 0,
            "usedBloomFilters": False,
            "totalStreams": cost.streams_matched,
            "chunkRefsLookupTime": 0,
            "bloomFilterTime": 0,
        },
        "skipped": _skipped_of(cost.skipped, read),
    }


def _skipped_of(skipped: Skipped, read: ReadStats) -> dict[str, dict[str, int]]:
    return {
        "chunks": {
            "outsideTime": skipped.outside_time,
            "otherStreams": skipped.other_streams,
            "heldLocally": skipped.held_locally,
            "otherReplicas": skipped.other_replicas,
        },
        "units": {
            "read": read.units_read,
            "timesOnly": read.units_timed,
            "repeated": read.units_repeated,
            "limitReached": read.units_unneeded,
        },
        "blocks": {
            "searched": read.blocks_searched,
            "withoutText": read.blocks_without,
        },
    }


def _summary_of(cost: QueryCost) -> dict[str, int | float]:
    read = cost.read
    total_bytes = read.head_bytes + read.block_bytes + read.metadata_bytes
    total_rows = read.head_rows + read.block_rows
    exec_s = cost.exec_ns / 1e9
    estimated = (
        {"estimatedQueryBytes": cost.bytes_estimated} if cost.bytes_estimated else {}
    )
    return {
        "bytesProcessedPerSecond": int(total_bytes / exec_s) if exec_s else 0,
        "linesProcessedPerSecond": int(total_rows / exec_s) if exec_s else 0,
        "totalBytesProcessed": total_bytes,
        "totalLinesProcessed": total_rows,
        "execTime": exec_s,
        "queueTime": cost.queue_ns / 1e9,
        "subqueries": 0,
        "totalEntriesReturned": cost.rows_returned,
        "splits": cost.subqueries_count,
        "shards": 0,
        "totalPostFilterLines": cost.rows_kept,
        "totalStructuredMetadataBytesProcessed": read.metadata_bytes,
        **estimated,
    }


def _store_of(
    read: ReadStats | None, *, has_metadata: bool, **counts: int
) -> dict[str, Any]:
    chunk = dict.fromkeys(
        (
            "headChunkBytes",
            "headChunkLines",
            "decompressedBytes",
            "decompressedLines",
            "compressedBytes",
            "totalDuplicates",
            "postFilterLines",
            "headChunkStructuredMetadataBytes",
            "decompressedStructuredMetadataBytes",
        ),
        0,
    )
    return {
        "totalChunksRef": read.chunks_matched if read else 0,
        "totalChunksDownloaded": read.chunks_read if read else 0,
        "chunksDownloadTime": 0,
        "queryReferencedStructuredMetadata": has_metadata,
        "queryUsedV2Engine": False,
        "chunk": {**chunk, **counts},
        "chunkRefsFetchTime": 0,
        "congestionControlLatency": 0,
        "pipelineWrapperFilteredLines": 0,
        "dataobj": dict.fromkeys(_DATAOBJ_FIELDS, 0),
    }
