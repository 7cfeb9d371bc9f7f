"""Hold recent entries: durable at once, readable at once, flushed later.

Reading order: `stream_table`, `head`, `generation`, `state`, `admission`, `rejections`,
`selection`, `cut`, `slices`, `flush_record` and `flush_policy` decide; `blockstore`,
`block_search`, `block_units`, `cells`, `select`, `tails`, `cutter`, `flusher`,
`flush_scheduler`, `handover`, `receiving`, `recovery`, `metrics` and `service` act.
"""
