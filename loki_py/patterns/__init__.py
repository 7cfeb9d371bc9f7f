"""Patterns: what recent lines have in common, found while they come in.

Read in this order: `tokens`, `drain`, `table`, `service`.
"""
