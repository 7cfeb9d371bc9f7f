"""A multi-tenant, Loki-compatible log store on Arrow and Parquet."""
