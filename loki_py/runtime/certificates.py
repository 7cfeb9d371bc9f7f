"""TLS of a server whose certificate files may change while it runs."""

import ssl
from pathlib import Path

from loki_py.config.grpc_schema import GrpcServerTlsConfig
from loki_py.errors import ConfigInvalid


class ServerCertificates:
    """One TLS context for a listener; each handshake uses the newest files.

    Clients' certificates are asked for where the settings say so; then nobody
    resumes a session, so that an authority that is taken out is out.
    """

    def __init__(self, config: GrpcServerTlsConfig) -> None:
        self._config = config
        self._files: tuple[bytes, ...] = ()
        self.load()
        self.context = self._new_context()
        self.context.sni_callback = self._choose

    def load(self) -> None:
        """Read the files where they changed.

        Raises: ConfigInvalid; then the last good ones stay in use.
        """
        config = self._config
        paths = (config.cert_file, config.key_file, config.client_ca_file)
        try:
            files = tuple(Path(path).read_bytes() for path in paths if path)
            if files == self._files:
                return
            newest = self._new_context()
        except (OSError, ValueError) as error:
            raise ConfigInvalid(f"{config.cert_file}: {error}") from None
        self._files, self._newest = files, newest

    @property
    def files(self) -> tuple[bytes, bytes, bytes | None]:
        """Certificates, key and authorities as they were read last, PEM."""
        cert, key, *authority = self._files
        return cert, key, authority[0] if authority else None

    @property
    def is_mutual(self) -> bool:
        """Whether clients must show a certificate."""
        return self._config.is_mutual

    def _new_context(self) -> ssl.SSLContext:
        config = self._config
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(config.cert_file, config.key_file)
        if config.is_mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(config.client_ca_file)
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context

    def _choose(
        self, connection: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext
    ) -> None:
        connection.context = self._newest
