"""Answer questions from ingesters and object storage.

Reading order: `requests`, `stats`; `limits`, `selectors`, `texts`; `pack_units`,
`overlap`, `wrapped_unit`, `merge`, `shares`, `likeness`, `remembered`; `fairness`;
then what does I/O: `leaf_run`, `executor`, `store_reader`, `sources`, `federation`,
`service`.
"""
