"""The way in: what a push goes through before an ingester stores it.

Reading order: `service`, `validation`, `streams`, `refusals`, `rate_limits`,
`reshape`, `discovery`, `levels`, `level_logfmt`, `level_json`, `level_values`,
`level_words`, `line_bytes`, `metrics`.
"""
