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
from typing import TYPE_CHECKING

from ..broker.management import Management
from ..broker.protocols import CeleryApp, RedisChannel
from ..clock import SYSTEM_CLOCK, Clock
from ..settings import Settings
from ..text import printable

if TYPE_CHECKING:
    from redis import ConnectionPool, Redis

__all__ = ["Address", "Place", "address_of", "find_workers_elsewhere"]

_CONNECT_SECONDS = 5.0
_OVERHEAR_SECONDS = 2.5  # each worker sends a heartbeat every two
_MOST_DATABASES = 32
_SCAN_SECONDS = 3.0
_SCAN_COUNT = 1_000  # keys that the server looks at in one go
_MOST_PLACES = 5
_LONGEST = 100  # characters of a prefix or an exchange: whoever may publish makes them up
_HEARTBEATS = "*worker.*"
_TOPIC = re.compile(r"(?P<prefix>.*?)(?:/(?P<database>\d+)\.)?(?P<exchange>[^/]+)/worker\.[a-z]+")
_BINDING = "_kombu.binding."


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


@dataclass(frozen=True, slots=True)
class Address:
    """What tells apart those who share a Redis server. None: unknown, or not in use."""

    prefix: str
    database: int | None
    exchange: str | None

    def other_than(self, own: Address) -> Place | None:
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
            remedy.append(f"--transport-option global_keyprefix={printable(self.prefix)}")
        if self.exchange is not None and self.exchange != own.exchange:
            where.append(f"on the exchange {self.exchange!r}")
            remedy.append(f"--event-exchange {printable(self.exchange)}")
        if not where:
            return None
        return Place(" ".join(where), " and ".join(remedy))


def address_of(topic: str) -> Address | None:
    """Return the address whose workers' events are published on this channel; None if it is none.

    Such as ``prod:/3.celeryev/worker.heartbeat``.
    """
    found = _TOPIC.fullmatch(topic)
    if found is None:
        return None
    database = found["database"]
    return Address(
        found["prefix"][:_LONGEST],
        int(database) if database else None,
        found["exchange"][:_LONGEST],
    )


def _on_redis(app: CeleryApp, *, clock: Clock) -> Iterator[Place]:
    from redis.exceptions import RedisError

    source = app.connection_for_read()
    options = {
        **source.transport_options,
        "socket_timeout": _CONNECT_SECONDS,
        "socket_connect_timeout": _CONNECT_SECONDS,
    }
    with source.clone(connect_timeout=_CONNECT_SECONDS, transport_options=options) as connection:
        channel: RedisChannel = connection.default_channel
        database = str(connection.virtual_host or "0").strip("/")
        own = Address(
            prefix=channel.global_keyprefix,
            database=int(database) if database.isdigit() else 0,
            exchange=app.conf.event_exchange,
        )
        found: set[Address] = set()
        for look in (_overheard, _with_bindings):
            if not found:  # keys outlive their workers, so they are the second choice
                with suppress(RedisError):  # this user may not look there
                    found.update(look(channel.pool, clock=clock))
        for address in found:
            place = address.other_than(own)
            if place is not None:
                yield place


def _overheard(pool: ConnectionPool, *, clock: Clock) -> Iterator[Address]:
    """Yield where the heartbeats come from that are published now."""
    from redis import Redis

    with Redis(connection_pool=pool).pubsub() as subscriber:  # type: ignore[no-untyped-call]
        subscriber.psubscribe(_HEARTBEATS)
        deadline = clock.monotonic() + _OVERHEAR_SECONDS
        while (seconds := deadline - clock.monotonic()) > 0:
            message = subscriber.get_message(timeout=seconds)
            if message is not None and message["type"] == "pmessage":
                address = address_of(_text(message["channel"]))
                if address is not None:
                    yield address


def _with_bindings(pool: ConnectionPool, *, clock: Clock) -> Iterator[Address]:
    """Yield the databases and prefixes that hold what workers leave to take commands."""
    from redis import Redis

    deadline = clock.monotonic() + _SCAN_SECONDS
    client = Redis(connection_pool=pool, single_connection_client=True)
    try:
        databases = [int(name.removeprefix("db")) for name in client.info("keyspace")]
        for number in _in_use(client, databases)[:_MOST_DATABASES]:
            client.execute_command("SELECT", number)  # type: ignore[no-untyped-call]
            cursor = -1
            while cursor and clock.monotonic() < deadline:
                cursor, keys = client.scan(
                    max(0, cursor), match=f"*{_BINDING}*.pidbox", count=_SCAN_COUNT
                )
                for key in keys:
                    prefix, _, exchange = _text(key).partition(_BINDING)
                    if not exchange.startswith("reply."):
                        yield Address(prefix[:_LONGEST], number, None)
    finally:
        pool.disconnect()  # else somebody finds his connection in another database


def _in_use(client: Redis, databases: list[int]) -> list[int]:
    """Return those databases from which somebody waits for messages: keys outlive their workers."""
    clients = client.client_list()
    waiting = {int(each["db"]) for each in clients if each.get("cmd") == "brpop"}
    return [number for number in databases if number in waiting]


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


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
            # The API counts a new queue's consumers some seconds late, and leaves them out before.
            if vhost != own and columns.get("consumers") != 0:
                path = "/" if vhost == "/" else vhost
                yield Place(f"on vhost {vhost!r}", f"a broker URL that ends in /{path}")
    finally:
        management.close()
