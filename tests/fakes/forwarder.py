"""A wire that can be cut: forwards bytes from a port of its own to another."""

import asyncio
import contextlib

from bench.ports import free_port

CHUNK_BYTES = 1 << 16


class Forwarder:
    """Closes all connections when cut, and refuses new ones until it is opened."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = None
        self._port = free_port()
        self._writers = set()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(
            self._forward, "127.0.0.1", self._port
        )

    async def cut(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _forward(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection(
            "127.0.0.1", self._target_port
        )
        pair = {writer, far_writer}
        self._writers |= pair
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._writers -= pair


async def _pump(reader, writer):
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()
