"""Object stores: where flushed data lives, and caches before them.

Reading order: `abc`, `memory`, `filesystem`; `ranges`, `retries`, `s3_client`,
`s3_metrics`, `s3`; `cache`, `cache_breaker`, `cache_metrics`, `cache_memcached`,
`caching`. Modules that import boto3 or pymemcache say so and are imported only where
they are used.
"""
