"""Bound queues: those that the broker can name by itself, whoever made them.

For commands, not for shots: on Redis it takes as long as there are keys, within a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol, cast

from ..broker.management import Management
from ..broker.protocols import CeleryApp, Connection, RedisChannel
from ..clock import SYSTEM_CLOCK, Clock
from ..settings import Settings
from .link import GONE, Link

__all__ = ["bound_queues"]

_SCAN_SECONDS = 1.0
_SCAN_COUNT = 1_000  # keys that the server looks at in one go
_MOST_EXCHANGES = 1_000
_MOST_QUEUES = 10_000
_GLOB = re.compile(r"([*?\[\]\\])")
#: Queues of commands and their replies, of events, of broadcasts, and of the server's own names.
_NO_TASKS = re.compile(r".*\.pidbox|celeryev\..*|bcast\..*|amq\..*")


def bound_queues(
    app: CeleryApp, settings: Settings, *, clock: Clock = SYSTEM_CLOCK
) -> tuple[str, ...]:
    """Return queues that tasks are published to, sorted: of Redis, and of RabbitMQ's management.

    Some may be long out of use. On other brokers, or where this user may not look, it returns none.
    Takes about a second on Redis. Never raises.
    """
    connection = app.connection_for_read()
    driver = connection.transport.driver_type
    names: set[str] = set()
    with suppress(*GONE, *Management.gone):
        if driver == "redis":
            names.update(_on_redis(connection, settings, clock=clock))
        elif driver == "amqp" and settings.management_url:
            names.update(_on_rabbitmq(connection, settings))
    ours = f"{app.conf.event_queue_prefix}."
    tasks = (name for name in names if not (_NO_TASKS.fullmatch(name) or name.startswith(ours)))
    return tuple(sorted(tasks)[:_MOST_QUEUES])


class _Client(Protocol):
    """``redis.Redis``."""

    def scan(self, cursor: int, *, match: str, count: int) -> tuple[int, list[bytes]]: ...


def _on_redis(connection: Connection, settings: Settings, *, clock: Clock) -> set[str]:
    from redis import Redis
    from redis.exceptions import RedisError

    limits = {
        "socket_timeout": settings.probe_seconds,
        "socket_connect_timeout": settings.probe_seconds,
    }
    link = Link(
        connection,
        timeout_seconds=settings.probe_seconds,
        transport_options=limits,
        lost=(RedisError, ValueError),
    )

    def look(connected: Connection) -> set[str]:
        channel: RedisChannel = connected.default_channel
        client = cast("_Client", Redis(connection_pool=channel.pool))
        exchanges = _exchanges(client, channel, clock=clock)
        return {row[-1] for exchange in exchanges for row in channel.get_table(exchange)}

    try:
        return link.ask(look)
    finally:
        link.close()


def _exchanges(client: _Client, channel: RedisChannel, *, clock: Clock) -> list[str]:
    """Return the exchanges that kombu keeps bindings of."""
    prefix = channel.global_keyprefix + channel.keyprefix_queue % ""
    match = _GLOB.sub(r"\\\1", prefix) + "*"
    deadline = clock.monotonic() + _SCAN_SECONDS
    found: dict[str, None] = {}
    cursor = -1
    while cursor and clock.monotonic() < deadline and len(found) < _MOST_EXCHANGES:
        cursor, keys = client.scan(max(0, cursor), match=match, count=_SCAN_COUNT)
        found.update((key.decode("utf-8", "replace").removeprefix(prefix), None) for key in keys)
    return list(found)[:_MOST_EXCHANGES]


def _on_rabbitmq(connection: Connection, settings: Settings) -> Iterator[str]:
    management = Management(settings.management_url, timeout_seconds=settings.probe_seconds)
    try:
        for columns in management.queues(connection.virtual_host or "/", columns=("name",)):
            yield str(columns.get("name", ""))
    finally:
        management.close()
