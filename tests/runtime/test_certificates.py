"""TLS of the HTTP side: handshakes before and after the files change."""

import shutil
import ssl

import pytest
from fakes.certificates import Authority

from loki_py.config.security_schema import HttpTlsConfig
from loki_py.errors import ConfigInvalid
from loki_py.runtime.certificates import ServerCertificates


class Files:
    """The files of a server, as its settings name them."""

    def __init__(self, folder, *, mutual=False):
        self.folder = folder
        self.authority = Authority(folder)
        self.use("first")
        self.trust(self.authority)
        self.config = HttpTlsConfig(
            cert_file=str(folder / "server.crt"),
            key_file=str(folder / "server.key"),
            client_ca_file=str(folder / "clients.pem") if mutual else "",
            client_auth_type="RequireAndVerifyClientCert" if mutual else "NoClientCert",
        )

    def use(self, name):
        """Put a new certificate in the place of the server's."""
        cert, key = self.authority.issue(name)
        shutil.copy(cert, self.folder / "server.crt")
        shutil.copy(key, self.folder / "server.key")

    def trust(self, authority):
        """Let clients of this authority in, and no others."""
        shutil.copy(authority.file, self.folder / "clients.pem")

    def client(self, *, shows=None):
        """Return a client's context."""
        context = ssl.create_default_context(cafile=self.authority.file)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if shows is not None:
            context.load_cert_chain(*shows)
        return context


def serial_seen(server, client):
    """Return the number of the certificate that a client is shown."""
    ends = [ssl.MemoryBIO() for _ in range(2)]
    one = client.wrap_bio(ends[0], ends[1], server_hostname="localhost")
    other = server.wrap_bio(ends[1], ends[0], server_side=True)
    waiting = [one, other]
    for _ in range(10):
        for each in list(waiting):
            try:
                each.do_handshake()
                waiting.remove(each)
            except ssl.SSLWantReadError:
                continue
    assert not waiting
    return one.getpeercert()["serialNumber"]


def test_new_files_are_used_by_the_next_handshake(tmp_path):
    files = Files(tmp_path)
    certificates = ServerCertificates(files.config)
    first = serial_seen(certificates.context, files.client())

    files.use("second")
    certificates.load()

    assert serial_seen(certificates.context, files.client()) != first


def test_unchanged_files_change_nothing(tmp_path):
    files = Files(tmp_path)
    certificates = ServerCertificates(files.config)
    first = serial_seen(certificates.context, files.client())

    certificates.load()

    assert serial_seen(certificates.context, files.client()) == first


@pytest.mark.parametrize("name", ["server.crt", "server.key"])
def test_files_that_do_not_fit_are_not_used(tmp_path, name):
    files = Files(tmp_path)
    certificates = ServerCertificates(files.config)
    first = serial_seen(certificates.context, files.client())
    files.authority.issue("other")
    shutil.copy(tmp_path / name.replace("server", "other"), tmp_path / name)

    with pytest.raises(ConfigInvalid, match=r"server\.crt"):
        certificates.load()

    assert serial_seen(certificates.context, files.client()) == first


def test_mutual_tls_lets_known_clients_in(tmp_path):
    files = Files(tmp_path, mutual=True)
    certificates = ServerCertificates(files.config)
    known = files.authority.issue("client", host="client")

    assert serial_seen(certificates.context, files.client(shows=known))


def test_mutual_tls_keeps_clients_without_certificate_out(tmp_path):
    files = Files(tmp_path, mutual=True)
    certificates = ServerCertificates(files.config)

    with pytest.raises(ssl.SSLError, match="did not return a certificate"):
        serial_seen(certificates.context, files.client())


def test_authority_that_is_taken_out_is_out(tmp_path):
    files = Files(tmp_path, mutual=True)
    certificates = ServerCertificates(files.config)
    known = files.authority.issue("client", host="client")
    client = files.client(shows=known)
    assert serial_seen(certificates.context, client)

    files.trust(Authority(tmp_path, "another"))
    certificates.load()

    with pytest.raises(ssl.SSLError):
        serial_seen(certificates.context, client)


def test_certificate_without_its_key_is_refused():
    with pytest.raises(ValueError, match="need each other"):
        HttpTlsConfig(cert_file="x")


def test_file_that_is_not_there_is_a_wrong_configuration(tmp_path):
    config = HttpTlsConfig(cert_file=str(tmp_path / "a"), key_file=str(tmp_path / "b"))

    with pytest.raises(ConfigInvalid, match="No such file"):
        ServerCertificates(config)
