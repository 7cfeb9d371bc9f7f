"""The shared key-value store behind the rings.

Reading order: `abc` (what callers may rely on), `memory` (the twin, for one
process and for tests), `etcd_channel` and `etcd` (many processes).
"""
