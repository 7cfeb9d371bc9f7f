"""What a running process has: clock, logs, metrics, overrides, a life cycle.

Reading order: `clock`, `logs`, `metrics`, `tasks`, `overrides`, `reloading`,
`certificates`, `lifecycle`.
"""
