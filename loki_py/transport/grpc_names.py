"""What both ends of a call must know alike: names and channel options."""

from typing import TypeAlias

SERVICE = "loki_py.v1.Ingester"
HEALTH_SERVICE = "grpc.health.v1.Health"
ERROR_KEY = "loki-py-error-bin"
"""Trailing metadata that holds a `Rejection` as JSON."""

PUSH = "Push"
SELECT = "Select"
READ = "Read"
DIGESTS = "Digests"
MAP = "Map"
RELEASE = "Release"
SERIES = "Series"
PATTERNS = "Patterns"
TAIL = "Tail"
FLUSH = "Flush"
TRANSFER = "Transfer"

KEEPALIVE_MS = 10_000
KEEPALIVE_ANSWER_MS_MAX = 5_000
RECONNECT_MS_MIN = 100
RECONNECT_MS_MAX = 2_000
CONNECT_MS_MAX = 5_000
"""How long a peer may take to say hello: one that just started is busy, and a
try that is given up makes every call fail until the next one."""

FRAME_BYTES_MAX = 4 << 20
"""Of HTTP/2; the default of 16 KiB costs more than the bytes themselves."""

Options: TypeAlias = list[tuple[str, int | str]]


def method_of(name: str) -> str:
    """Return the path of a method."""
    return f"/{SERVICE}/{name}"


def host_port(host: str, port: int) -> str:
    """Return an address; one of IPv6 stands in brackets."""
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def size_options(message_bytes_max: int) -> Options:
    """Return the caps on messages."""
    return [
        ("grpc.max_send_message_length", message_bytes_max),
        ("grpc.max_receive_message_length", message_bytes_max),
    ]


def client_options(message_bytes_max: int) -> Options:
    """Return the options of a channel: dead peers are noticed and tried again."""
    return [
        *size_options(message_bytes_max),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_ANSWER_MS_MAX),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_MS_MIN),
        # Named after pauses, and the bound of one try to connect.
        ("grpc.min_reconnect_backoff_ms", CONNECT_MS_MAX),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
        # Instances that share an address after one another share no connection.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.http2.max_frame_size", FRAME_BYTES_MAX),
    ]


def server_options(message_bytes_max: int) -> Options:
    """Return the options of a server: its port is its alone, pings are fine."""
    return [
        *size_options(message_bytes_max),
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.http2.max_frame_size", FRAME_BYTES_MAX),
    ]
