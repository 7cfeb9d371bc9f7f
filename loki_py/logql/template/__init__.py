"""Go text/template as line_format and label_format have it.

Reading order: `template` (the entry), `lexer`, `nodes`, `parser`, `execute`,
`values`, `builtins`, `functions`, `numbers`, `printf`, `gotime`, `errors`.
"""
