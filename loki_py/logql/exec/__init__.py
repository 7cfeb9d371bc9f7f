"""Execution of plans on columns.

Reading order: `stream_table`, `frame` (rows while they pass a pipeline),
`codes` and `series` (rows to label sets), `stream_hash`, `log_leaf` (log queries),
`tail_leaf` (tails); for metric queries `grid` (evaluation times and windows),
`reductions` and `whole_windows` (range functions), `summaries`, `run_edges` and
`time_counts` (counts from times alone), `range_leaf`, `range_plan`; then `table`
(series, all at once or some at a time), `aggregate`, `binary`, `label_replace`
(metric arithmetic) and `tree` (a whole expression).
"""
