"""What every format of ours is made of.

Reading order: `checksum`, `decbuf`, `framing`, `parquet_names`, `parquet_check`;
`compression` for the bodies of others.
"""
