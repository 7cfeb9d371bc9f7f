"""What finds chunks by labels and time.

Reading order: `matching`, `postings` (live streams), `series`, `files`,
`chunk_table` (flushed chunks), `inspect`.
"""
