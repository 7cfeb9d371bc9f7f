"""The log that is replayed after a crash.

Reading order: `records`, `segment`, `segment_file`, `writer`, `log`, `replay`.
"""
