"""`common.ring`: what may be configured, and what may not."""

import pytest
from pydantic import ValidationError

from loki_py.config.ring_schema import RingConfig
from loki_py.kv.etcd_channel import EtcdSettings
from loki_py.ring.settings import RingSettings

ETCD = {"store": "etcd", "etcd": {"endpoints": ["a:2379", "b:2379"]}}


def test_defaults_need_no_store():
    config = RingConfig()

    assert config.kvstore.store == "inmemory"
    settings = RingSettings.of(config, name="ingester", replication_factor=3)
    assert settings == RingSettings("ingester")
    assert settings.instance_key("i") == "collectors/ingester/instances/i"


def test_keys_are_lokis():
    config = RingConfig.model_validate(
        {
            "kvstore": {**ETCD, "prefix": "mine/"},
            "heartbeat_period": "1s",
            "heartbeat_timeout": "10s",
            "instance_availability_zone": "z",
            "zone_awareness_enabled": True,
        }
    )

    settings = RingSettings.of(config, name="ingester", replication_factor=1)
    assert settings.forget_ns == 20_000_000_000
    assert settings.lease_s == 20
    assert settings.zone_aware
    assert EtcdSettings.of(config.kvstore.etcd).endpoints == ("a:2379", "b:2379")


def test_password_is_never_printed():
    etcd = {"endpoints": ["a:1"], "username": "u", "password": "hush"}
    config = RingConfig.model_validate({"kvstore": {"store": "etcd", "etcd": etcd}})

    assert "hush" not in repr(config)
    assert "hush" not in str(config.model_dump(by_alias=True))
    assert "hush" not in repr(EtcdSettings.of(config.kvstore.etcd))
    assert EtcdSettings.of(config.kvstore.etcd).password == "hush"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"kvstore": {"store": "consul"}}, "inmemory"),
        ({"kvstore": {"store": "etcd"}}, "endpoints is empty"),
        ({"kvstore": {"etcd": {"endpoints": ["http://a:1"]}}}, "is not host:port"),
        ({"kvstore": {"etcd": {"endpoints": ["a"]}}}, "is not host:port"),
        ({"kvstore": {"etcd": {"username": "u"}}}, "need each other"),
        ({"kvstore": {"etcd": {"tls_key_path": "k"}}}, "need each other"),
        ({"kvstore": {"etcd": {"dial_timeout": 0}}}, "must not be 0"),
        ({"kvstore": {"prefix": "x"}}, "does not end with /"),
        ({"heartbeat_period": 0}, "must not be 0"),
        ({"heartbeat_timeout": "5s"}, "longer than heartbeat_period"),
        ({"zone_awareness_enabled": True}, "instance_availability_zone is empty"),
        ({"colour": 1}, "colour"),
    ],
)
def test_wrong_settings_are_refused(values, text):
    with pytest.raises(ValidationError, match=text):
        RingConfig.model_validate(values)
