"""A wire between processes that can be cut without either end hearing of it."""

import socket
import threading

from bench.ports import free_port

CHUNK_BYTES = 1 << 16
LISTEN_S_MAX = 5


class Wire:
    """Forwards bytes from an address of its own to another one.

    Cut, it takes connections and bytes and delivers neither; healed, it delivers
    what it kept, as a network does that was away for a while.
    """

    def __init__(
        self,
        target_port: int,
        *,
        host="127.0.0.1",
        port: int = 0,
        target_host="127.0.0.1",
    ) -> None:
        self.port = port or free_port()
        self._target_host = target_host
        self._target_port = target_port
        self._whole = threading.Event()
        self._whole.set()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stopped = False
        self._listener = socket.create_server((host, self.port), backlog=128)
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def cut(self) -> None:
        self._whole.clear()

    def heal(self) -> None:
        self._whole.set()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            _shut(self._listener)
            for connection in self._open:
                _shut(connection)
        self.heal()
        for thread in self._threads:
            thread.join(LISTEN_S_MAX)
            assert not thread.is_alive()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._spawn(self._connect, near)

    def _connect(self, near: socket.socket) -> None:
        """Forward both ways until one end closes."""
        self._whole.wait()
        try:
            address = (self._target_host, self._target_port)
            far = socket.create_connection(address, LISTEN_S_MAX)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with self._lock:
            self._open |= {near, far}
            if self._stopped:
                _shut(near)
                _shut(far)
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        back.start()
        self._pump(near, far)
        back.join()
        with self._lock:
            self._open -= {near, far}
        near.close()
        far.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(CHUNK_BYTES):
                self._whole.wait()
                sink.sendall(data)
        except OSError:
            pass
        _shut(source)
        _shut(sink)

    def _spawn(self, work, *args) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
