"""Answer questions from ingesters and object storage.

Reading order: `requests`, `stats`; `limits`, `selectors`, `texts`; `pack_units`,
`overlap`, `wrapped_unit`, `merge`, `shares`; `fairness`; then what does I/O:
`leaf_run`, `executor`, `store_reader`, `sources`, `federation`, `service`.
"""
