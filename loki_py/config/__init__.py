"""Settings as values: what may be configured, and how it is written.

Reading order: `telling`, `units`, `limit_kinds`, `otlp`, `limits`; `sections`, `schema`
and its parts `grpc_schema`, `ring_schema`, `security_schema`, `storage_schema`;
`yaml_text`, `nearest`, `mistakes`, `loader`, `tokens`, `dump`.
"""
