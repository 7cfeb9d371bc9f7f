"""`common.ring`: how processes find each other."""

from typing import Annotated, Literal, Self

from pydantic import Field, PlainSerializer, SecretStr, model_validator

from loki_py.config.sections import DurationNs, PositiveNs, Section
from loki_py.config.units import NS_PER_S


def _print_secret(value: SecretStr) -> str:
    return "<secret>" if value.get_secret_value() else ""


Secret = Annotated[SecretStr, PlainSerializer(_print_secret)]


class EtcdConfig(Section):
    """`common.ring.kvstore.etcd`: where etcd is, and how to talk to it.

    Attributes:
        endpoints: `host:port`; tried in turn.
        call_ns_max: the deadline of a call; then the next endpoint is tried.
        tls_server_name: the name in the server's certificate where it is not
            the endpoint's host.
    """

    endpoints: tuple[str, ...] = ()
    call_ns_max: PositiveNs = Field(5 * NS_PER_S, alias="dial_timeout")
    tls_enabled: bool = False
    tls_ca_path: str = ""
    tls_cert_path: str = ""
    tls_key_path: str = ""
    tls_server_name: str = ""
    username: str = ""
    password: Secret = SecretStr("")

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if bool(self.tls_cert_path) != bool(self.tls_key_path):
            raise ValueError("tls_cert_path and tls_key_path need each other")
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("username and password need each other")
        for number, endpoint in enumerate(self.endpoints):
            host, _, port = endpoint.rpartition(":")
            if not host or "/" in endpoint or not port.isdecimal():
                raise ValueError(f"endpoints.{number} is not host:port")
        return self


class KvStoreConfig(Section):
    """`common.ring.kvstore`: the store that all processes of a cluster share.

    Attributes:
        store: `inmemory` for one process, `etcd` for a cluster.
        prefix: what all our keys there start with.
    """

    store: Literal["inmemory", "etcd"] = "inmemory"
    prefix: str = Field("collectors/", min_length=1)
    etcd: EtcdConfig = EtcdConfig()

    @model_validator(mode="after")
    def _check_store(self) -> Self:
        if self.store == "etcd" and not self.etcd.endpoints:
            raise ValueError("kvstore.store is etcd; kvstore.etcd.endpoints is empty")
        if not self.prefix.endswith("/"):
            raise ValueError("kvstore.prefix does not end with /")
        return self


class RingConfig(Section):
    """`common.ring`: how instances show that they live, and where they are.

    Attributes:
        heartbeat_timeout_ns: age of a heartbeat beyond which others take over;
            after twice of it the instance is forgotten. 0 means never.
        zone: the failure domain of this instance.
        zone_awareness_enabled: replicas of a stream are in different zones.
    """

    kvstore: KvStoreConfig = KvStoreConfig()
    heartbeat_period_ns: PositiveNs = Field(5 * NS_PER_S, alias="heartbeat_period")
    heartbeat_timeout_ns: DurationNs = Field(60 * NS_PER_S, alias="heartbeat_timeout")
    zone: str = Field("", alias="instance_availability_zone")
    zone_awareness_enabled: bool = False

    @model_validator(mode="after")
    def _check_beats(self) -> Self:
        if 0 < self.heartbeat_timeout_ns <= self.heartbeat_period_ns:
            raise ValueError("heartbeat_timeout must be longer than heartbeat_period")
        if self.zone_awareness_enabled and not self.zone:
            raise ValueError(
                "zone_awareness_enabled is set; instance_availability_zone is empty"
            )
        return self
