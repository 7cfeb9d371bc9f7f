"""Settings as values: what may be configured, and how it is written.

Reading order: `units`, `limit_kinds`, `limits`, `schema`, `loader`, `dump`.
"""
