"""The way in: what a push goes through before an ingester stores it.

Reading order: `service`, `validation`, `streams`, `refusals`, `rate_limits`, `reshape`,
`discovery`, `generic_fields`, `levels`, `level_logfmt`, `level_json`, `level_values`,
`level_words`, `line_bytes`, `metrics`; with several ingesters `replication`, `groups`,
`replicated`, and `next_owners` for those that leave.
"""
