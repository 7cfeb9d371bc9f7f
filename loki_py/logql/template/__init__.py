"""Go text/template as line_format and label_format have it.

Reading order: `template` (the entry), `lexer`, `nodes`, `parser`, `execute`,
`calls`, `values`, `signatures`, `builtins`, `functions`, `texts`, `numbers`, `printf`,
`gotime`, `errors`.
"""
