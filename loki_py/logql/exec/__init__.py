"""Execution of plans on columns.

Reading order: `stream_table`, `frame` (rows while they pass a pipeline),
`series` (rows to label sets), `log_leaf` (log queries); for metric queries
`grid` (evaluation times and windows), `reductions` and `whole_windows` (range
functions), `summaries`, `range_leaf`, `range_plan`; then `table`, `aggregate`,
`binary`, `label_replace` (metric arithmetic) and `tree` (a whole expression).
"""
