"""A byte-forwarding proxy that breaks what passes it, as it is told."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CHUNK_BYTES = 1 << 16
ERROR_503 = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Faults:
    """What happens to the next connections; change it at any time.

    Attributes:
        fate: given the number of the request and its first bytes, one of "",
            "503", "stall" (nothing is answered), "cut" (half an answer, then the
            end), "lost" (the other side does it; its answer is dropped).
        delay_s: before each piece of an answer.
        rewrite: what answers become.
    """

    fate: Callable[[int, bytes], str] = lambda _number, _first: ""
    delay_s: float = 0.0
    rewrite: Callable[[bytes], bytes] | None = None
    requests: int = 0
    fates: list[str] = field(default_factory=list)


class FaultProxy:
    """Listens on `port`, forwards to `target_port`; one fate for one request.

    A request is what a client sends after it was answered last; so connections
    may be kept and each request on them meets its own fate.
    """

    def __init__(self, target_port: int) -> None:
        self.faults = Faults()
        self._target_port = target_port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def stop(self) -> None:
        with self._lock:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.drop_connections()
        for thread in self._threads:
            thread.join(5)

    def drop_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                self._shut(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port), 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            connection = _Connection(self, client, server)
            with self._lock:
                self._open |= {client, server}
            for work in (connection.upstream, connection.downstream):
                thread = threading.Thread(target=work, daemon=True)
                self._threads.append(thread)
                thread.start()

    def next_fate(self, first: bytes) -> str:
        with self._lock:
            number = self.faults.requests
            self.faults.requests += 1
            fate = self.faults.fate(number, first)
            self.faults.fates.append(fate)
            return fate

    def closed(self, *connections: socket.socket) -> None:
        with self._lock:
            for connection in connections:
                self._shut(connection)

    @staticmethod
    def _shut(connection: socket.socket) -> None:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


class _Connection:
    def __init__(self, proxy, client, server) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.fate = ""
        self.answered = True
        self.ends = 0
        self.lock = threading.Lock()

    def upstream(self) -> None:
        try:
            while data := self.client.recv(CHUNK_BYTES):
                if self.answered:
                    self.answered = False
                    self.fate = self.proxy.next_fate(data)
                if self.fate == "503":
                    self.client.sendall(ERROR_503)
                    break
                if self.fate != "stall":
                    self.server.sendall(data)
        except OSError:
            pass
        finally:
            self._end()

    def downstream(self) -> None:
        try:
            while data := self.server.recv(CHUNK_BYTES):
                if data.startswith(b"HTTP/1.1 100"):
                    self.client.sendall(data)
                    continue
                fate, self.answered = self.fate, True
                if fate == "lost":
                    break
                if fate == "cut":
                    self.client.sendall(data[: len(data) // 2])
                    break
                faults = self.proxy.faults
                if faults.delay_s:
                    time.sleep(faults.delay_s)
                self.client.sendall(faults.rewrite(data) if faults.rewrite else data)
        except OSError:
            pass
        finally:
            self._end()

    def _end(self) -> None:
        self.proxy.closed(self.client, self.server)
        with self.lock:
            self.ends += 1
            if self.ends == 2:
                with self.proxy._lock:
                    self.proxy._open -= {self.client, self.server}
                self.client.close()
                self.server.close()
