"""Object stores: where flushed data lives.

Reading order: `abc`, `memory`, `filesystem`.
"""
