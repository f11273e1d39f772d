"""Silent brokers: a subscription finds out by itself, and in time, that its broker is gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Queue

from event_monitor.receiver.amqp import AmqpSubscription
from event_monitor.receiver.redis import RedisSubscription
from event_monitor.receiver.subscription import Reading
from event_monitor.testing import FakeClock

WAIT_SECONDS = 0.01  # for a message that will not come


def never(error: Exception) -> None:
    raise error


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end, and ours."""
    server, ours = socket.socketpair()
    with server, ours:
        yield server, ours


def connection_with(**parts: object) -> Any:
    """As much of a kombu connection as a subscription uses."""
    made = SimpleNamespace(
        transport_cls="",
        transport_options={},
        alt=(),
        release=lambda: None,
        connection_errors=(OSError,),
        channel_errors=(),
        transport=SimpleNamespace(driver_type="fake"),
        ensure_connection=lambda _errback, **_options: None,
        **parts,
    )
    made.clone = lambda **_changes: made
    return made


# -- Redis ----------------------------------------------------------------------------------------


class RedisConnection:
    """One connection of redis-py's that remembers its commands."""

    def __init__(self, ours: socket.socket) -> None:
        self._sock = ours
        self.commands: list[str] = []

    def connect(self) -> None:
        """Do nothing: it is connected."""

    def send_command(self, *command: str, check_health: bool = True) -> None:
        del check_health
        self.commands.append(command[0])


@pytest.fixture
def redis_connection(sockets: tuple[socket.socket, socket.socket]) -> RedisConnection:
    return RedisConnection(sockets[1])


@pytest.fixture
def on_redis(
    sockets: tuple[socket.socket, socket.socket],
    redis_connection: RedisConnection,
    clock: FakeClock,
) -> RedisSubscription:
    """An open subscription."""
    channel = SimpleNamespace(
        global_keyprefix="",
        _get_publish_topic=lambda exchange, key: f"/0.{exchange}/{key}",
        pool=SimpleNamespace(make_connection=lambda: redis_connection),
    )
    sockets[0].sendall(b"*3\r\n$10\r\npsubscribe\r\n$1\r\nx\r\n:1\r\n")
    subscription = RedisSubscription(
        connection_with(default_channel=channel), exchange="e", on_invalid=never, clock=clock
    )
    subscription.open()
    return subscription


def test_a_quiet_redis_is_sent_one_ping(
    on_redis: RedisSubscription, redis_connection: RedisConnection, clock: FakeClock
) -> None:
    """After three seconds, and no second one at once."""
    clock.advance(2.9)
    assert on_redis.read(WAIT_SECONDS) == Reading()
    assert redis_connection.commands == ["PSUBSCRIBE"]

    clock.advance(0.2)
    for _ in range(2):
        assert on_redis.read(WAIT_SECONDS) == Reading()
    assert redis_connection.commands == ["PSUBSCRIBE", "PING"]


def test_a_redis_that_does_not_answer_is_gone(
    on_redis: RedisSubscription, clock: FakeClock
) -> None:
    """After eight seconds, five of them after the PING."""
    for seconds in (3.0, 4.9):
        clock.advance(seconds)
        assert on_redis.read(WAIT_SECONDS) == Reading()

    clock.advance(0.2)
    with pytest.raises(on_redis.gone, match="no answer for 8 s"):
        on_redis.read(WAIT_SECONDS)


def test_a_redis_that_was_asked_nothing_is_not_gone(
    on_redis: RedisSubscription, sockets: tuple[socket.socket, socket.socket], clock: FakeClock
) -> None:
    """Where we were stopped meanwhile: to subscribe anew would lose events."""
    clock.advance(60.0)

    assert on_redis.read(WAIT_SECONDS) == Reading()
    sockets[0].sendall(b"+PONG\r\n")
    assert on_redis.read(WAIT_SECONDS) == Reading([])


def test_a_redis_that_answers_is_not_gone(
    on_redis: RedisSubscription, sockets: tuple[socket.socket, socket.socket], clock: FakeClock
) -> None:
    """However long no event comes."""
    for _ in range(5):
        clock.advance(4.0)
        assert on_redis.read(WAIT_SECONDS) == Reading()
        sockets[0].sendall(b"+PONG\r\n")
        assert on_redis.read(WAIT_SECONDS) == Reading([])


def test_a_redis_that_closes_the_connection_is_gone(
    on_redis: RedisSubscription, sockets: tuple[socket.socket, socket.socket]
) -> None:
    sockets[0].close()

    with pytest.raises(on_redis.gone, match="closed the connection"):
        on_redis.read(WAIT_SECONDS)


# -- RabbitMQ -------------------------------------------------------------------------------------


@pytest.fixture
def heartbeats() -> list[float]:
    """When we sent one."""
    return []


@pytest.fixture
def on_rabbitmq(
    sockets: tuple[socket.socket, socket.socket], heartbeats: list[float], clock: FakeClock
) -> AmqpSubscription:
    """An open subscription."""
    amqp = SimpleNamespace(
        transport=SimpleNamespace(sock=sockets[1], _read_buffer=b""),
        send_heartbeat=lambda: heartbeats.append(clock.monotonic()),
    )
    channel = SimpleNamespace(
        basic_qos=lambda *_args: None,
        basic_consume=lambda *_args, **_options: None,
        send_method=lambda *_args: None,
    )
    subscription = AmqpSubscription(
        connection_with(default_channel=channel, connection=amqp),
        queue=Queue("celeryev.x", no_declare=True),
        on_invalid=never,
        clock=clock,
    )
    subscription.open()
    return subscription


def test_rabbitmq_is_sent_heartbeats_while_it_sends_some(
    on_rabbitmq: AmqpSubscription,
    sockets: tuple[socket.socket, socket.socket],
    heartbeats: list[float],
    clock: FakeClock,
) -> None:
    """Every two seconds; it hangs up on a client that is silent for twice that."""
    for _ in range(8):
        clock.advance(1.0)
        sockets[0].sendall(b"\x08\x00\x00\x00\x00\x00\x00\xce")
        assert on_rabbitmq.read(WAIT_SECONDS) == Reading([])

    assert heartbeats == [1_002.0, 1_004.0, 1_006.0, 1_008.0]


def test_a_rabbitmq_that_sends_nothing_is_gone(
    on_rabbitmq: AmqpSubscription, clock: FakeClock
) -> None:
    """After eight seconds."""
    clock.advance(7.9)
    assert on_rabbitmq.read(WAIT_SECONDS) == Reading([])

    clock.advance(0.2)
    with pytest.raises(on_rabbitmq.gone, match="nothing received for 8 s"):
        on_rabbitmq.read(WAIT_SECONDS)
