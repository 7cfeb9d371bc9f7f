"""Execution of plans on columns.

Reading order: `frame` (rows while they pass a pipeline), `series` (rows to
label sets), `grid` (evaluation times and windows), `reductions` (range
functions), `log_leaf` and `range_leaf` (evaluators), `table`, `aggregate`,
`binary` (metric arithmetic), `tree` (a whole expression).
"""
