"""Answer questions from ingesters and object storage.

Reading order: `requests`, `stats`; `limits`, `selectors`, `texts`; `pack_units`,
`overlap`, `wrapped_unit`, `small_units`, `merge`, `shares`, `likeness`, `remembered`,
`replica_units`; `plan_leaf`, `fairness`; `volume` and `detected_fields` (what Grafana
asks beside queries), `tail_entries` and `tail_hold` (tails); then what does I/O:
`leaf_run`, `executor`, `store_reader`, `index_repair`, `replicated`,
`replicated_feed`, `served_leaves`, `sources`, `federation`, `service`,
`index_service`, `tail`.
"""
