"""What clients and components send, from bytes to columns.

Reading order: `push`, `push_json`, `push_proto`, `wire_scan`, `label_text`,
`label_cache`, `timestamps`, `metadata`, `text` for pushes; `otlp`, `otlp_json`,
`otlp_proto`, `proto_fields`, `otlp_values`, `otlp_batch`, `otlp_answers` for
OpenTelemetry; `messages`, `messages_batch`, `messages_select`, `messages_patterns`,
`messages_transfer`, `cells` and `digests` for calls between processes.
"""
