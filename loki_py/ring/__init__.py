"""Which instances exist, and which of them own a stream.

Reading order: `desc` (instances and what is written of them), `tokens` (where
an instance sits), `lookup` (who owns a token), `quorum` (how many must answer),
`replication` (which reads are whole), `settings`, `owners` (what of a ring others
ask), `mirror` (what was last heard of, and how old it is); then what does I/O:
`token_file`, `holders` (who may hold data), `lifecycler` (keeps our own entry),
`watcher` (keeps a snapshot).

Nothing here knows what an ingester is.
"""
