"""Patterns: what recent lines have in common, found while they come in.

Reading order: `tokens`, `drain`, `table`, `service`, `followed`; `files`, `store`,
`unstored` keep what is counted, `merging` and `querier` answer with it.
"""
