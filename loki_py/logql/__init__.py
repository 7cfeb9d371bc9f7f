"""The query language: text to syntax tree, tree to text, tree to results.

Reading order: `ast`, `ast_metric`, `tokens`, `lexer`, `parser`, `printer`,
`template`; then `plan`, `stages` and `exec`.
"""
