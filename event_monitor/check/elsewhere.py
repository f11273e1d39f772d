"""Elsewhere: where workers are, when none is found where this monitor looks.

A wrong database, key prefix, virtual host or exchange looks the same from inside: silence. On Redis
all databases share their channels, so the heartbeats of others can be overheard; on RabbitMQ only
the management API knows other virtual hosts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from ..broker.management import Management
from ..broker.protocols import CeleryApp, RedisChannel
from ..clock import SYSTEM_CLOCK, Clock
from ..settings import Settings

__all__ = ["Place", "find_workers_elsewhere"]

_CONNECT_SECONDS = 5.0
_OVERHEAR_SECONDS = 2.5  # each worker sends a heartbeat every two
_MOST_DATABASES = 32
_MOST_ROUNDS = 50  # of SCAN, in one database
_SCAN_COUNT = "1000"
_MOST_PLACES = 5
_LONGEST = 100  # characters of a prefix or an exchange: whoever may publish makes them up
_HEARTBEATS = "*worker.*"
_TOPIC = re.compile(r"(?P<prefix>.*?)(?:/(?P<database>\d+)\.)?(?P<exchange>[^/]+)/worker\.[a-z]+")
_BINDING = "_kombu.binding."
_DATABASE = re.compile(rb"db(\d+)")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where workers are, as a sentence, and the options that lead there."""

    where: str
    remedy: str


def find_workers_elsewhere(
    app: CeleryApp, settings: Settings, *, clock: Clock = SYSTEM_CLOCK
) -> tuple[Place, ...]:
    """Return where workers are, other than where this app looks. Never raises.

    Takes about three seconds on Redis. What this user may not look at is left out.
    """
    driver = app.connection_for_read().transport.driver_type
    places: set[Place] = set()
    with suppress(Exception):  # the broker's, or a driver's: this is only a hint
        if driver == "redis":
            places.update(_on_redis(app, clock=clock))
        elif driver == "amqp" and settings.management_url:
            places.update(_on_rabbitmq(app, settings))
    return tuple(sorted(places)[:_MOST_PLACES])


# -- Redis ---------------------------------------------------------------------------------------


class _RedisConnection(Protocol):
    """``redis.Connection``: one connection of redis-py's, outside its pool."""

    def connect(self) -> object: ...
    def disconnect(self) -> object: ...
    def send_command(self, *command: str) -> object: ...
    def can_read(self, timeout: float = 0) -> bool: ...
    def read_response(self) -> object: ...


@dataclass(frozen=True, slots=True)
class _Address:
    """What tells apart those who share a Redis server. None: unknown, or not in use."""

    prefix: str
    database: int | None
    exchange: str | None

    def other_than(self, own: _Address) -> Place | None:
        """Return in which way it is another place; None if it is not."""
        where, remedy = [], []
        if self.database is None:
            where.append("without a database in their channels")
            remedy.append("--transport-option fanout_prefix=false")
        elif self.database != own.database:
            where.append(f"in database {self.database}")
            remedy.append(f"a broker URL that ends in /{self.database}")
        if self.prefix != own.prefix:
            where.append(
                f"under the key prefix {self.prefix!r}" if self.prefix else "without a key prefix"
            )
            remedy.append(f"--transport-option global_keyprefix={self.prefix}")
        if self.exchange is not None and self.exchange != own.exchange:
            where.append(f"on the exchange {self.exchange!r}")
            remedy.append(f"--event-exchange {self.exchange}")
        if not where:
            return None
        return Place(" ".join(where), " and ".join(remedy))


def _on_redis(app: CeleryApp, *, clock: Clock) -> Iterator[Place]:
    source = app.connection_for_read()
    options = {
        **source.transport_options,
        "socket_timeout": _CONNECT_SECONDS,
        "socket_connect_timeout": _CONNECT_SECONDS,
    }
    with source.clone(connect_timeout=_CONNECT_SECONDS, transport_options=options) as connection:
        channel: RedisChannel = connection.default_channel
        database = str(connection.virtual_host or "0").strip("/")
        own = _Address(
            prefix=channel.global_keyprefix,
            database=int(database) if database.isdigit() else 0,
            exchange=app.conf.event_exchange,
        )
        found: set[_Address] = set()
        for look in (_overheard, _with_bindings):
            if not found:  # keys outlive their workers, so they are the second choice
                redis: _RedisConnection = channel.pool.make_connection()
                try:
                    redis.connect()
                    found.update(look(redis, clock=clock))
                except Exception:  # noqa: BLE001, S112  not allowed to this user: look elsewhere
                    continue
                finally:
                    redis.disconnect()
        for address in found:
            place = address.other_than(own)
            if place is not None:
                yield place


def _overheard(redis: _RedisConnection, *, clock: Clock) -> Iterator[_Address]:
    """Yield where the heartbeats come from that are published now."""
    redis.send_command("PSUBSCRIBE", _HEARTBEATS)
    deadline = clock.monotonic() + _OVERHEAR_SECONDS
    while (seconds := deadline - clock.monotonic()) > 0 and redis.can_read(timeout=seconds):
        message = redis.read_response()
        if not isinstance(message, list) or message[0] != b"pmessage":
            continue
        topic = _TOPIC.fullmatch(bytes(message[2]).decode("utf-8", "replace"))
        if topic is not None:
            database = topic["database"]
            yield _Address(
                topic["prefix"][:_LONGEST],
                int(database) if database else None,
                topic["exchange"][:_LONGEST],
            )


def _with_bindings(redis: _RedisConnection, *, clock: Clock) -> Iterator[_Address]:
    """Yield the databases and prefixes that hold what workers leave to take commands."""
    del clock
    redis.send_command("INFO", "keyspace")
    keyspace = redis.read_response()
    databases = _DATABASE.findall(keyspace) if isinstance(keyspace, bytes) else ()
    for number in map(int, databases[:_MOST_DATABASES]):
        redis.send_command("SELECT", str(number))
        redis.read_response()
        for key in _scan(redis, f"*{_BINDING}*.pidbox"):
            prefix, _, exchange = key.partition(_BINDING)
            if not exchange.startswith("reply."):
                yield _Address(prefix[:_LONGEST], number, None)


def _scan(redis: _RedisConnection, pattern: str) -> Iterator[str]:
    cursor = "0"
    for _ in range(_MOST_ROUNDS):
        redis.send_command("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT)
        answer = redis.read_response()
        if not isinstance(answer, list):
            return
        cursor = bytes(answer[0]).decode()
        yield from (bytes(key).decode("utf-8", "replace") for key in answer[1])
        if cursor == "0":
            return


# -- RabbitMQ ------------------------------------------------------------------------------------


def _on_rabbitmq(app: CeleryApp, settings: Settings) -> Iterator[Place]:
    """Yield the virtual hosts on which workers take commands."""
    own = app.connection_for_read().virtual_host or "/"
    management = Management(settings.management_url, timeout_seconds=_CONNECT_SECONDS)
    try:
        for columns in management.queues(
            None, columns=("name", "vhost", "consumers"), name=r"^(?!.*\.reply\.).*\.pidbox$"
        ):
            vhost = str(columns.get("vhost", ""))
            if vhost != own and columns.get("consumers"):
                path = "/" if vhost == "/" else vhost
                yield Place(f"on vhost {vhost!r}", f"a broker URL that ends in /{path}")
    finally:
        management.close()
