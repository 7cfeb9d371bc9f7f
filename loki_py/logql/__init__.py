"""The query language: text to syntax tree, tree to text, tree to results.

Reading order: `ast`, `ast_metric`; `tokens`, `strings`, `literals`, `lexer`, `cursor`,
`parser` with its parts `parser_metric`, `parser_range`, `parser_log`, `parser_filter`;
`regexps`, `regexp_weight`, `patterns`, `paths` and `ips` (what stands in strings),
`folding`, `rules`, `checks`; `printer`, `pretty`; `template`; then `plan`, `question`,
`stages` and `exec`.
"""
