"""Hold recent entries: durable at once, readable at once, flushed later.

Reading order: `stream_table`, `head`, `generation`, `state`, `admission`, `rejections`,
`selection`, `cut`, `slices`, `flush_record` and `flush_policy` decide; `blockstore`,
`block_units`, `cells`, `select`, `cutter`, `flusher`, `flush_scheduler`, `recovery`
and `service` act.
"""
