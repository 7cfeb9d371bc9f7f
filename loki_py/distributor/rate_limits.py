"""How many bytes a tenant may push a second: one token bucket for each."""

from dataclasses import dataclass

from loki_py.config.limits import Limits
from loki_py.errors import IngestionRateExceeded

TENANTS_MAX = 100_000
"""Buckets held; a tenant whose bucket is full again needs none."""

_NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class _Bucket:
    bytes_left: float
    updated_ns: int


class RateLimiter:
    """Token buckets that fill at the tenant's rate up to its burst.

    A push passes as a whole or not at all. With the strategy `global` a
    distributor grants its share of the rate, never of the burst.
    """

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self.distributors_count = 1
        """Live distributors that share a `global` rate."""

    def take(
        self,
        tenant: str,
        limits: Limits,
        *,
        entries_count: int,
        size_bytes: int,
        now_ns: int,
    ) -> None:
        """Take the bytes of a push out of the tenant's bucket.

        Raises: IngestionRateExceeded; then nothing was taken.
        """
        rate_bytes = limits.ingestion_rate_bytes
        if limits.ingestion_rate_strategy == "global":
            rate_bytes //= max(self.distributors_count, 1)
        burst_bytes = limits.ingestion_burst_bytes
        bucket = self._bucket(tenant, burst_bytes, now_ns)
        elapsed_ns = max(now_ns - bucket.updated_ns, 0)
        filled = bucket.bytes_left + elapsed_ns * rate_bytes / _NS_PER_S
        bucket.bytes_left = min(filled, burst_bytes)
        bucket.updated_ns = now_ns
        if size_bytes <= bucket.bytes_left:
            bucket.bytes_left -= size_bytes
            return
        lacking = size_bytes - bucket.bytes_left
        never = size_bytes > burst_bytes or not rate_bytes
        raise IngestionRateExceeded(
            f"ingestion rate limit exceeded for user {tenant} (limit: {rate_bytes} "
            f"bytes/sec) while attempting to ingest '{entries_count}' lines totaling "
            f"'{size_bytes}' bytes, reduce log volume or contact your Loki "
            "administrator to see if the limit can be increased",
            retry_after_ns=None if never else int(lacking * _NS_PER_S / rate_bytes) + 1,
        )

    def _bucket(self, tenant: str, burst_bytes: int, now_ns: int) -> _Bucket:
        bucket = self._buckets.get(tenant)
        if bucket is None:
            if len(self._buckets) >= TENANTS_MAX:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets[tenant] = _Bucket(burst_bytes, now_ns)
        return bucket
