"""Keys in etcd, shared by all processes of a cluster.

Every call has a deadline. A server that does not answer is left for the next
one in the list; the channel reconnects by itself with a growing pause. Watches
end with KvUnavailable when the server is gone, and within about nine seconds
when it is there but silent.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import grpc
from aetcd import rpc

from loki_py.kv.abc import (
    KvChange,
    KvEntry,
    KvListing,
    KvUnavailable,
    LeaseGone,
    RevisionCompacted,
    RevisionConflict,
)
from loki_py.kv.etcd_channel import EtcdChannel, EtcdSettings, Metadata


class EtcdKv:
    """A `KvStore` in etcd (version 3 and later)."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._channel = EtcdChannel(settings)
        self._timeout_s = self._channel.call_s_max

    async def read(self, prefix: str) -> KvListing:
        """Read linearizably: what any process wrote before is in it."""
        request = rpc.RangeRequest(
            key=prefix.encode(), range_end=_end_of(prefix.encode())
        )

        async def call(channel: Any, metadata: Metadata) -> Any:
            stub = rpc.KVStub(channel)
            return await stub.Range(request, timeout=self._timeout_s, metadata=metadata)

        answer = await self._channel.call(call)
        entries = {kv.key.decode(): _entry_of(kv) for kv in answer.kvs}
        return KvListing(answer.header.revision, entries)

    async def write(
        self,
        puts: Mapping[str, bytes],
        *,
        lease: int = 0,
        expected: Mapping[str, int] | None = None,
    ) -> int:
        """Write in one transaction."""
        expected = expected or {}
        request = rpc.TxnRequest(
            compare=[_unchanged(key, rev) for key, rev in expected.items()],
            success=[
                rpc.RequestOp(
                    request_put=rpc.PutRequest(
                        key=key.encode(), value=value, lease=lease
                    )
                )
                for key, value in puts.items()
            ],
        )

        async def call(channel: Any, metadata: Metadata) -> Any:
            stub = rpc.KVStub(channel)
            return await stub.Txn(request, timeout=self._timeout_s, metadata=metadata)

        try:
            answer = await self._channel.call(call)
        except grpc.aio.AioRpcError as error:
            raise LeaseGone(f"lease {lease:x} is gone") from error
        if not answer.succeeded:
            raise RevisionConflict(f"one of {', '.join(expected)} has changed")
        revision: int = answer.header.revision
        return revision

    async def delete(self, key: str) -> bool:
        """Delete one key."""
        request = rpc.DeleteRangeRequest(key=key.encode())

        async def call(channel: Any, metadata: Metadata) -> Any:
            stub = rpc.KVStub(channel)
            return await stub.DeleteRange(
                request, timeout=self._timeout_s, metadata=metadata
            )

        answer = await self._channel.call(call)
        return bool(answer.deleted)

    async def watch(
        self, prefix: str, *, after_revision: int
    ) -> AsyncGenerator[Sequence[KvChange], None]:
        """Yield what etcd sends; a batch is one answer of etcd."""
        request = rpc.WatchRequest(
            create_request=rpc.WatchCreateRequest(
                key=prefix.encode(),
                range_end=_end_of(prefix.encode()),
                start_revision=after_revision + 1,
            )
        )
        call: Any = None
        try:
            async with asyncio.timeout(self._timeout_s):
                channel, metadata = await self._channel.connected()
                call = rpc.WatchStub(channel).Watch(metadata=metadata)
                await call.write(request)
                yielded = self._changes_in(await call.read())
            yield yielded
            while True:
                changes = self._changes_in(await call.read())
                if changes:
                    yield changes
        except TimeoutError:
            raise KvUnavailable(
                f"etcd at {self._channel.endpoint}: no watch in {self._timeout_s:g} s"
            ) from None
        except grpc.aio.AioRpcError as error:
            raise await self._watch_error(error) from error
        except asyncio.CancelledError:
            self._channel.check_cut_off()
            raise
        except (grpc.aio.UsageError, asyncio.InvalidStateError) as error:
            raise KvUnavailable(f"watch of {prefix} was cut off: {error}") from error
        finally:
            if call is not None:
                call.cancel()

    async def grant(self, ttl_s: int) -> int:
        """Return a lease whose number etcd chose."""
        request = rpc.LeaseGrantRequest(TTL=ttl_s)

        async def call(channel: Any, metadata: Metadata) -> Any:
            stub = rpc.LeaseStub(channel)
            return await stub.LeaseGrant(
                request, timeout=self._timeout_s, metadata=metadata
            )

        answer = await self._channel.call(call)
        lease: int = answer.ID
        return lease

    async def keep_alive(self, lease: int) -> None:
        """Send one keep-alive and wait for its answer."""
        request = rpc.LeaseKeepAliveRequest(ID=lease)

        async def call(channel: Any, metadata: Metadata) -> Any:
            stub = rpc.LeaseStub(channel)
            stream = stub.LeaseKeepAlive(timeout=self._timeout_s, metadata=metadata)
            try:
                await stream.write(request)
                return await stream.read()
            except asyncio.InvalidStateError as error:
                raise KvUnavailable(f"keep-alive was cut off: {error}") from error
            finally:
                stream.cancel()

        answer = await self._channel.call(call)
        if answer is grpc.aio.EOF:
            raise KvUnavailable(f"etcd at {self._channel.endpoint} closed a keep-alive")
        if answer.TTL <= 0:
            raise LeaseGone(f"lease {lease:x} is gone")

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    def _changes_in(self, answer: Any) -> Sequence[KvChange]:
        if answer is grpc.aio.EOF:
            raise KvUnavailable(f"etcd at {self._channel.endpoint} closed a watch")
        if answer.compact_revision:
            raise RevisionCompacted(
                f"revisions before {answer.compact_revision} are compacted"
            )
        if answer.canceled:
            raise KvUnavailable(f"etcd cancelled a watch: {answer.cancel_reason}")
        return [
            KvChange(
                event.kv.key.decode(),
                None if event.type == rpc.Event.DELETE else _entry_of(event.kv),
            )
            for event in answer.events
        ]

    async def _watch_error(self, error: grpc.aio.AioRpcError) -> KvUnavailable:
        # A watch has no second try of its own: the next one signs in anew.
        self._channel.sign_out()
        return await self._channel.judged(error)


def _end_of(prefix: bytes) -> bytes:
    """Return the first key after all that start with the prefix."""
    assert prefix
    assert prefix[-1] < 0xFF
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _entry_of(kv: Any) -> KvEntry:
    return KvEntry(kv.value, kv.mod_revision)


def _unchanged(key: str, revision: int) -> Any:
    return rpc.Compare(
        key=key.encode(),
        target=rpc.Compare.MOD,
        result=rpc.Compare.EQUAL,
        mod_revision=revision,
    )
