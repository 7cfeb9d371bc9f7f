"""What clients send, from bytes to columns.

Reading order: `push`, `push_json`, `push_proto`, `wire_scan`, `label_text`,
`label_cache`, `timestamps`, `metadata`, `text`.
"""
