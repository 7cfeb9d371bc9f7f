"""What everything else talks about.

Reading order: `labels`, `canonical`, `matchers`, `batch`, `views`, `words`, `scan`,
`line_facts`, `line_search`, `unit_group`, `shares`, `results`; `object_keys`,
`chunk_refs` and `pattern_rows` for what is stored.
"""
