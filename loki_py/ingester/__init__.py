"""Hold recent entries: durable at once, readable at once, flushed later.

Reading order: `stream_table`, `head`, `generation`, `admission`, `rejections`,
`selection` and `flush_policy` decide; `blockstore`, `cutter`, `flusher`,
`recovery` and `service` act.
"""
