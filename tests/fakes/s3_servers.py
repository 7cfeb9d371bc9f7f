"""Real servers that speak S3: rclone, which checks signatures, and moto."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

from loki_py.config.storage_schema import S3Config

READY_S_MAX = 30
ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI-K7MDENG"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class _Server:
    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + READY_S_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                assert self._process.poll() is None, f"{command[0]} ended"
                assert time.monotonic() < deadline_s, f"{command[0]} does not listen"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def config(self, *, port: int | None = None, **changes: object) -> S3Config:
        """Settings for a bucket, by the keys of a configuration file."""
        settings = {
            "bucketnames": f"bucket-{uuid.uuid4().hex[:8]}",
            "endpoint": f"127.0.0.1:{port or self.port}",
            "insecure": True,
            "region": "us-east-1",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
            "s3forcepathstyle": True,
            "backoff_config": {"min_period": "1ms", "max_period": "20ms"},
        }
        return S3Config.model_validate(settings | changes)


class RcloneServer(_Server):
    """`rclone serve s3` over a folder; every request must be signed."""

    def __init__(self, folder: Path, *extra: str) -> None:
        binary = shutil.which("rclone", path=Path(sys.executable).parent)
        assert binary, "rclone is not installed: it is in the dev dependencies"
        port = free_port()
        super().__init__(
            [
                binary,
                "serve",
                "s3",
                f"--auth-key={ACCESS_KEY},{SECRET_KEY}",
                f"--addr=127.0.0.1:{port}",
                f"--config={os.devnull}",
                *extra,
                str(folder),
            ],
            port,
        )


class MotoServer(_Server):
    """moto's S3, in a process of its own."""

    def __init__(self) -> None:
        port = free_port()
        binary = Path(sys.executable).parent / "moto_server"
        super().__init__([str(binary), "-H", "127.0.0.1", "-p", str(port)], port)
