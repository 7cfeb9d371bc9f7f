"""Run the server: settings, sockets, signals, and an orderly end.

The HTTP side listens before the services start, so that `/ready` can say why
the process is not ready. On SIGTERM or SIGINT the process first stops being
ready, then takes no more connections, finishes the requests it has, stops its
services in reverse order, and ends.
"""

import asyncio
import contextlib
import functools
import gc
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from loki_py.app.http_protocol import HttpProtocol, Patience
from loki_py.app.machine import raise_files_max
from loki_py.app.websockets import (
    MESSAGE_BYTES_MAX,
    PING_S,
    PONG_S_MAX,
    WebSocketProtocol,
)
from loki_py.app.wiring import Wired, wire
from loki_py.config.schema import Config
from loki_py.config.units import NS_PER_S
from loki_py.errors import LokiError
from loki_py.runtime.lifecycle import Lifecycle
from loki_py.runtime.logs import configure_logs, logger_of
from loki_py.runtime.tasks import end_task

BACKLOG = 2_048
GC_THRESHOLDS = (50_000, 50, 50)
"""Collections are rare: requests leave columns behind, and columns no cycles."""

_log = logger_of("server")


def serve(config: Config) -> int:
    """Serve until told to stop; return the exit status.

    Raises: ConfigInvalid.
    """
    assert __debug__, "invariants are asserted; do not run with -O"
    log_level = configure_logs(
        config.server.log_level, log_format=config.server.log_format
    )
    raise_files_max()
    wired = wire(config, log_level)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()
    import uvloop  # noqa: PLC0415  # not there on every system

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, wired))


async def _serve(config: Config, wired: Wired) -> int:
    settings = config.server
    admin = None
    try:
        listening = _listen(settings.http_listen_address, settings.http_listen_port)
        if wired.admin_app is not None:
            admin = _listen(settings.admin_listen_address, settings.admin_listen_port)
    except OSError as error:
        _log.error("cannot listen", error=error.strerror)
        return 1
    async with _second_side(config, wired, admin):
        return await _serve_on(listening, config, wired)


@contextlib.asynccontextmanager
async def _second_side(
    config: Config, wired: Wired, listening: socket.socket | None
) -> AsyncIterator[None]:
    """Serve the second listener, where there is one, to the end of the block."""
    if listening is None:
        yield
        return
    server = _QuietServer(_http_settings(config, wired, wired.admin_app))
    with listening:
        _log.info("listening for admin calls", port=listening.getsockname()[1])
        http = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield
        finally:
            server.should_exit = True
            await http


async def _serve_on(listening: socket.socket, config: Config, wired: Wired) -> int:
    server = _HttpServer(_http_settings(config, wired, wired.app), wired.lifecycle)
    with listening:
        address, port = listening.getsockname()[:2]
        _log.info("listening", address=address, port=port, target=config.target)
        http = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            status = await _run(wired.lifecycle, http)
        finally:
            server.should_exit = True
            await http
            stopped_cleanly = await _stop(wired.lifecycle)
    status = status if stopped_cleanly else 1
    _log.info("stopped", status=status)
    return status


async def _stop(lifecycle: Lifecycle) -> bool:
    """Stop the services; return whether all did. Failures are logged there."""
    try:
        await lifecycle.stop()
    except Exception:  # noqa: BLE001  # of any service, and told already
        return False
    return True


async def _run(lifecycle: Lifecycle, http: "asyncio.Task[None]") -> int:
    """Start the services and wait for the HTTP side to end."""
    starting = asyncio.create_task(lifecycle.start())
    await asyncio.wait({starting, http}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        await end_task(starting)
        return 0
    try:
        starting.result()
    except (LokiError, OSError) as error:
        _log.error("cannot start", error=str(error))
        return 1
    _log.info("ready")
    await http
    return 0


class _QuietServer(uvicorn.Server):
    """A server beside the one that hears signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave signals alone."""
        yield


class _HttpServer(uvicorn.Server):
    """A server that tells the life cycle first when it is told to stop."""

    def __init__(self, settings: uvicorn.Config, lifecycle: Lifecycle) -> None:
        super().__init__(settings)
        self._lifecycle = lifecycle

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Stop on SIGTERM and SIGINT; a second one stops at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _told_to_stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
        self._lifecycle.draining = True
        self.should_exit = True


def _http_settings(config: Config, wired: Wired, app: Any) -> uvicorn.Config:
    tls = wired.certificates
    patience = Patience(
        config.server.http_read_ns_max / NS_PER_S,
        config.server.http_write_ns_max / NS_PER_S,
    )
    protocol: Any = functools.partial(HttpProtocol, patience)
    return uvicorn.Config(
        app,
        loop="none",
        http=protocol,
        ws=WebSocketProtocol,
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PONG_S_MAX,
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        backlog=BACKLOG,
        ssl_context_factory=None if tls is None else lambda *_: tls.context,
        timeout_keep_alive=max(1, config.server.http_idle_ns_max // NS_PER_S),
        timeout_graceful_shutdown=max(1, config.server.shutdown_ns_max // NS_PER_S),
    )


def _listen(address: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises: OSError.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"{address}:{port}: {error.strerror}") from None
    listening.setblocking(False)
    return listening
