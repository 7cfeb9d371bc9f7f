"""Real servers that speak S3: rclone, which checks signatures, and moto."""

import os
import shutil
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from fakes.programs import start_listening

from bench.ports import free_port
from loki_py.config.storage_schema import S3Config

ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI-K7MDENG"


class _Server:
    def __init__(self) -> None:
        self._move()
        self._process = start_listening(
            lambda: (self._command(), self.port), move=self._move
        )

    def _move(self) -> None:
        self.port = free_port()

    def _command(self) -> Sequence[str]:
        raise NotImplementedError

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
        self._folder = folder
        self._extra = extra
        super().__init__()

    def _command(self) -> Sequence[str]:
        binary = shutil.which("rclone", path=Path(sys.executable).parent)
        assert binary, "rclone is not installed: it is in the dev dependencies"
        return [
            binary,
            "serve",
            "s3",
            f"--auth-key={ACCESS_KEY},{SECRET_KEY}",
            f"--addr=127.0.0.1:{self.port}",
            f"--config={os.devnull}",
            *self._extra,
            str(self._folder),
        ]


class MotoServer(_Server):
    """moto's S3, in a process of its own."""

    def _command(self) -> Sequence[str]:
        binary = Path(sys.executable).parent / "moto_server"
        return [str(binary), "-H", "127.0.0.1", "-p", str(self.port)]
