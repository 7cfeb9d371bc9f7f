"""The files that hold log data: local block files and Parquet packs.

Reading order: `sorting`, `row_selection`; `blocks`, `block_writer`, `block_parts`
(what a scan wants of them), `line_checks`, `line_runs`, `block_times`,
`block_reader`; `pack_format`, `tables`, `chunk_list`, `pack_writer`, `sparse`,
`pack_reader`; `inspect`.
"""
