"""The files that hold log data: local block files and Parquet packs.

Reading order: `sorting`, `blocks`, `block_writer`, `block_reader`,
`pack_writer`, `pack_reader`, `inspect`.
"""
