"""An ingester behind a real gRPC server of this process."""

import contextlib

from loki_py.config.grpc_schema import GrpcServerTlsConfig, IngesterClientConfig
from loki_py.querier.merge import distinct_units
from loki_py.querier.served_leaves import ServedLeaves
from loki_py.ring.desc import InstanceDesc, InstanceState
from loki_py.runtime.clock import SystemClock
from loki_py.transport.grpc_server import GrpcServer, GrpcServerSettings
from loki_py.transport.pool import IngesterPool


@contextlib.asynccontextmanager
async def served(ingester, *, client=None, tls=None, transfers=None, name="i-1"):
    """Yield a client of the ingester, over a real connection."""
    tls = tls or GrpcServerTlsConfig()
    server = GrpcServer(
        ingester,
        GrpcServerSettings("127.0.0.1", 0, 4 << 20, 100, tls, 0.0),
        clock=SystemClock(),
        reason_not_ready=lambda: None,
        distinct=distinct_units,
        leaves=ServedLeaves(),
        transfers=transfers,
    )
    await server.start()
    settings = {"grpc_client_config": {"max_recv_msg_size": 4 << 20}}
    config = IngesterClientConfig.model_validate(settings | (client or {}))
    pool = IngesterPool(config, clock=SystemClock())
    await pool.start()
    address = f"127.0.0.1:{server.port}"
    try:
        yield pool.client_of(InstanceDesc(name, address, InstanceState.ACTIVE)), server
    finally:
        await pool.stop()
        await server.stop()
