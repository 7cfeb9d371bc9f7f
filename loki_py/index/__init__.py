"""What finds chunks by labels and time.

Reading order: `postings` (live streams), `series`, `files`, `chunk_table`
(flushed chunks), `inspect`.
"""
