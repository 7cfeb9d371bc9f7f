"""The log that is replayed after a crash.

Reading order: `records`, `segment`, `log`, `replay`.
"""
