"""Names: the same monitor has one name, however its broker is written."""

from __future__ import annotations

import pytest
from kombu import Connection

from event_monitor.liveness import Identity, address_of


def name(broker: str) -> str:
    return Identity(broker=broker, namespace="Celery", dimensions=()).name


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:geheim@localhost:6379/0",
        "redis://user:pass@redis:6380/3?ssl_cert_reqs=none",
        "rediss://cache.example:6379/1",
        "redis+socket:///var/run/redis.sock",
        "sentinel://a:26379;sentinel://b:26379",
        "amqp://guest:guest@rabbit//",
        "amqp://rabbit",
        "amqp://u:p%40ss@rabbit:5672/shop",
        "amqps://u:p@rabbit/%2Fshop",
        "pyamqp://rabbit/shop",
        "redis://[::1]",
        "redis://[fe80::1]:6380/2",
    ],
)
def test_the_monitor_and_its_health_check_agree_on_the_name(url: str) -> None:
    """The one has a connection, the other the URL."""
    assert name(address_of(Connection(url))) == name(url)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://h", "redis://H:6379//"),
        ("redis://h/0", "redis://:secret@h/"),
        ("amqp://h", "amqp://guest:guest@h:5672//"),
        ("amqp://h/%2F", "amqp://h//"),
        ("redis://:p#a/s?s@w@h/0", "redis://h/0"),  # not encoded as it should be
    ],
)
def test_spellings_of_one_broker_have_one_name(one: str, other: str) -> None:
    """Defaults, and a password that changes."""
    assert name(one) == name(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://h/0", "redis://h/1"),
        ("redis://h/0", "redis://i/0"),
        ("redis://h:6379/0", "redis://h:6380/0"),
        ("amqp://h/a", "amqp://h/b"),
        ("redis://h/0", "amqp://h/0"),
    ],
)
def test_two_brokers_have_two_names(one: str, other: str) -> None:
    """Host, port, database or virtual host."""
    assert name(one) != name(other)


def test_the_order_of_dimensions_does_not_matter() -> None:
    """CloudWatch does not mind it either."""
    pairs = (("A", "1"), ("B", "2"))

    assert Identity(dimensions=pairs).name == Identity(dimensions=pairs[::-1]).name
    assert Identity(dimensions=pairs).name != Identity(dimensions=()).name
