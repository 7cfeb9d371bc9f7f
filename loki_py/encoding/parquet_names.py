"""What every Parquet file of ours says of itself, under the same names."""

PARQUET_MAGIC = b"PAR1"
"""What a Parquet file begins and ends with."""

KEY_TENANT = b"loki_py.tenant"
"""Whose data is in it."""

KEY_WRITER = b"loki_py.writer"
"""The instance that wrote it."""
