"""gRPC between the processes of a cluster: bounds, deadlines, TLS."""

from typing import Literal, Self

from pydantic import Field, model_validator

from loki_py.config.sections import PositiveNs, Section, SizeBytes
from loki_py.config.units import MIB, NS_PER_S


class GrpcServerTlsConfig(Section):
    """`server.grpc_tls_config`: our certificate, and whether peers need one.

    Attributes:
        client_auth_type: whether a peer must show a certificate of
            `client_ca_file` (mutual TLS).
    """

    cert_file: str = ""
    key_file: str = ""
    client_auth_type: Literal["NoClientCert", "RequireAndVerifyClientCert"] = (
        "NoClientCert"
    )
    client_ca_file: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file need each other")
        if self.is_mutual and not (self.cert_file and self.client_ca_file):
            raise ValueError("client_auth_type needs cert_file and client_ca_file")
        return self

    @property
    def is_mutual(self) -> bool:
        """Whether peers must show a certificate."""
        return self.client_auth_type == "RequireAndVerifyClientCert"


class GrpcClientConfig(Section):
    """`ingester_client.grpc_client_config`: how others' gRPC is called.

    Attributes:
        message_bytes_max: a message as sent or received.
        tls_server_name: the name in the server's certificate where it is not
            the address.
    """

    message_bytes_max: SizeBytes = Field(256 * MIB, alias="max_recv_msg_size")
    tls_enabled: bool = False
    tls_ca_path: str = ""
    tls_cert_path: str = ""
    tls_key_path: str = ""
    tls_server_name: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.tls_cert_path) != bool(self.tls_key_path):
            raise ValueError("tls_cert_path and tls_key_path need each other")
        return self


class IngesterClientConfig(Section):
    """`ingester_client`: what distributors and queriers grant an ingester.

    Attributes:
        call_ns_max: the deadline of a call.
        inflight_bytes_max: pushes sent to one ingester and not answered;
            beyond, it counts as failed at once.
    """

    call_ns_max: PositiveNs = Field(5 * NS_PER_S, alias="remote_timeout")
    inflight_bytes_max: SizeBytes = Field(128 * MIB, alias="max_inflight_size")
    grpc: GrpcClientConfig = Field(GrpcClientConfig(), alias="grpc_client_config")
