"""A cache in memcached servers, which may be slow, dead or gone.

Owns threads that talk to the servers: a caller waits `call_ns_max` at most,
whatever a server does, and not at all for what it stores. After repeated
failures nothing is asked but a probe now and then. Importing this module
imports pymemcache. Does I/O.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias, TypeVar

from pymemcache import HashClient

from loki_py.config.storage_schema import MemcachedConfig
from loki_py.config.units import NS_PER_S
from loki_py.runtime.clock import Clock
from loki_py.runtime.logs import Throttle, logger_of
from loki_py.storage.cache_breaker import Breaker
from loki_py.storage.cache_metrics import CacheMetrics

T = TypeVar("T")
Address: TypeAlias = tuple[str, int]

DEFAULT_PORT = 11_211

KEYS_MAX = 16
"""Values asked of memcached at once: what 100 ms are enough for."""

PENDING_MAX = 64
"""Requests that wait for a thread or are at work; beyond it they are dropped."""

SERVER_RETRIES = 2
"""Failures in a row that a server may have before others take its keys."""

SERVER_DEAD_S = 5
"""How long a server that does not answer is left out; others take its keys."""

log = logger_of("memcached")


class MemcachedCache:
    """A `Cache` in memcached; keys are spread over the servers by hash.

    Args:
        config: the servers, and bounds.
        clock: times the breaker and the look-ups of addresses.
        metrics: what counts requests.
        breaker: None means the usual one.
    """

    def __init__(
        self,
        config: MemcachedConfig,
        clock: Clock,
        metrics: CacheMetrics,
        *,
        breaker: Breaker | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._breaker = breaker or Breaker()
        self._pool = ThreadPoolExecutor(
            config.connections_max, thread_name_prefix="memcached"
        )
        self._pending = threading.BoundedSemaphore(PENDING_MAX)
        self._servers = _Servers(config, clock)
        self._complaints = Throttle(60 * NS_PER_S)

    @property
    def breaker(self) -> Breaker:
        """What decides whether the servers are asked."""
        return self._breaker

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """Return what the servers have and send in time."""
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), KEYS_MAX):
            names = {key.hex(): key for key in keys[start : start + KEYS_MAX]}
            if not self._breaker.may_pass(now_ns=self._clock.monotonic_ns()):
                break
            call = self._submit("Memcache.GetMulti", partial(_get, list(names)))
            if call is None:
                break
            try:
                values = call.result(self._config.call_ns_max / NS_PER_S)
            except TimeoutError:
                self._failed("no answer in time")
                break
            if values is None:
                break
            self._breaker.succeeded()
            self._metrics.breaker_open.set(0)
            for name, value in values.items():
                if name in names and isinstance(value, bytes):
                    found[names[name]] = value
        return found

    def put_many(self, values: Mapping[bytes, bytes]) -> None:
        """Hand the values to a thread; where none is free soon they are dropped."""
        small = {
            key.hex(): value
            for key, value in values.items()
            if len(value) <= self._config.value_bytes_max
        }
        dropped = len(values) - len(small)
        # Nothing is answered to what is stored, so that it is no probe.
        if small and (
            self._breaker.is_open
            or not self._submit("Memcache.PutMulti", partial(_put, small))
        ):
            dropped += len(small)
        if dropped:
            self._metrics.dropped_writes.inc(dropped)

    def forget(self, keys: Sequence[bytes]) -> None:
        """Ask the servers to drop the values, soon."""
        names = [key.hex() for key in keys]
        if not self._breaker.is_open:
            self._submit("Memcache.Delete", partial(_delete, names))

    def close(self) -> None:
        """End the threads; what waits to be stored is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._servers.close()

    def _submit(
        self, method: str, call: Callable[[HashClient], T]
    ) -> "Future[T | None] | None":
        if not self._pending.acquire(blocking=False):
            return None
        try:
            future = self._pool.submit(self._run, method, call)
        except RuntimeError:
            # Closed meanwhile.
            self._pending.release()
            return None
        future.add_done_callback(lambda _: self._pending.release())
        return future

    def _run(self, method: str, call: Callable[[HashClient], T]) -> T | None:
        """Talk to the servers; None where they do not talk back."""
        start_ns = time.monotonic_ns()
        status = "500"
        try:
            answer = call(self._servers.client())
        except Exception as error:  # noqa: BLE001
            # Whatever a cache does, and whatever its client makes of that, is no
            # reason for a query to fail.
            self._failed(f"{type(error).__name__}: {error}")
            return None
        else:
            status = "200"
            return answer
        finally:
            passed_s = (time.monotonic_ns() - start_ns) / NS_PER_S
            self._metrics.memcached_seconds.labels(method, status).observe(passed_s)

    def _failed(self, reason: str) -> None:
        now_ns = self._clock.monotonic_ns()
        self._breaker.failed(now_ns=now_ns)
        self._metrics.breaker_open.set(int(self._breaker.is_open))
        if self._complaints.take(now_ns) is not None:
            log.warning("memcached does not answer", reason=reason)


def _get(names: Sequence[str], client: HashClient) -> Mapping[str, Any]:
    found: Mapping[str, Any] = client.get_many(names)
    return found


def _put(values: Mapping[str, bytes], client: HashClient) -> bool:
    client.set_many(dict(values), noreply=True)
    return True


def _delete(names: Sequence[str], client: HashClient) -> bool:
    client.delete_many(list(names), noreply=True)
    return True


class _Servers:
    """The client of the servers that names resolve to now."""

    def __init__(self, config: MemcachedConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._addresses: frozenset[Address] = frozenset()
        self._client: HashClient | None = None
        self._resolved_ns = 0

    def client(self) -> HashClient:
        """Return the client; names are looked up first where that is long ago.

        Raises: OSError where no name resolves.
        """
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            age_ns = now_ns - self._resolved_ns
            if self._client is None or age_ns > self._config.resolve_ns:
                self._resolved_ns = now_ns
                self._client = self._resolved_client()
            return self._client

    def _resolved_client(self) -> HashClient:
        try:
            addresses = frozenset(_resolved(self._config))
        except OSError:
            if self._client is None:
                raise
            return self._client  # names that do not resolve now did before
        if self._client is not None and addresses == self._addresses:
            return self._client
        self._addresses = addresses
        return self._new_client(sorted(addresses))

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _new_client(self, addresses: Sequence[Address]) -> HashClient:
        silence_s = self._config.call_ns_max / NS_PER_S
        return HashClient(
            list(addresses),
            use_pooling=True,
            max_pool_size=self._config.connections_max,
            connect_timeout=silence_s,
            timeout=silence_s,
            no_delay=True,
            retry_attempts=SERVER_RETRIES,
            retry_timeout=0,
            dead_timeout=SERVER_DEAD_S,
        )


def _resolved(config: MemcachedConfig) -> list[Address]:
    """Return the address of every server.

    Raises: OSError where a name does not resolve.
    """
    found = []
    for text in filter(None, config.addresses.split(",")):
        host, _, port = text.strip().rpartition(":")
        if host.startswith("dns+"):
            found += _all_of(host.removeprefix("dns+"), int(port))
        else:
            found.append((host, int(port)))
    if config.host:
        found += _all_of(config.host, _port_of(config.service))
    return found


def _port_of(service: str) -> int:
    if service.isdecimal():
        return int(service)
    if service == "memcached":
        return DEFAULT_PORT
    return socket.getservbyname(service, "tcp")


def _all_of(host: str, port: int) -> list[Address]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({(str(answer[4][0]), port) for answer in answers})
