"""What takes OpenTelemetry's logs in this process, over HTTP and over gRPC."""

from loki_py.api.bodies import BytesInFlight
from loki_py.api.context import ApiContext
from loki_py.api.late_pushes import LatePushes
from loki_py.api.otlp import OtlpAcceptor
from loki_py.api.otlp_grpc import OtlpCalls, OtlpGrpc, OtlpGrpcSettings
from loki_py.api.push import PushCaps
from loki_py.api.services import PushService
from loki_py.config.limits import Overrides
from loki_py.config.schema import Config
from loki_py.runtime.certificates import ServerCertificates
from loki_py.wire.otlp import OtlpDecoder


def exports_of(
    config: Config, pusher: PushService, overrides: Overrides, context: ApiContext
) -> OtlpAcceptor:
    """Return what takes exports; its caps are those of every push."""
    caps = PushCaps(
        config.distributor.body_bytes_max,
        config.distributor.decoded_bytes_max,
        BytesInFlight(config.distributor.inflight_bytes_max),
    )
    late = LatePushes(pusher, overrides)
    return OtlpAcceptor(OtlpDecoder(), late, overrides, context, caps)


def otlp_grpc_of(
    config: Config, exports: OtlpAcceptor, certificates: ServerCertificates | None
) -> OtlpGrpc | None:
    """Return the listener that the settings ask for, None where they do not."""
    settings = config.otlp
    if not settings.grpc_listen_port:
        return None
    return OtlpGrpc(
        OtlpCalls(exports),
        OtlpGrpcSettings(
            settings.grpc_listen_address or config.server.http_listen_address,
            settings.grpc_listen_port,
            settings.is_port_given,
            settings.message_bytes_max,
            config.server.grpc_calls_max,
        ),
        certificates,
    )
