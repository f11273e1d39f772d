"""Overhearing: the commands to the workers, received on a connection that a lease has anyway.

Where a user may not, or there are no workers yet, nothing is received, and nothing is said.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ..broker.protocols import CeleryApp, Connection, RedisChannel

__all__ = ["OnCommand", "Overhear", "overhearing"]

_MOST_AT_ONCE = 200  # commands taken in one look
_MOST_BYTES = 65_536  # of a message on Redis; a question has some hundreds
_MOST_WAITING = 1_000  # on RabbitMQ; what comes first is dropped first

#: Gets the body of a command, and its headers.
OnCommand = Callable[[bytes | str, Mapping[str, object]], None]
#: Subscribes on a connection; returns what takes the commands that have come. Neither raises.
Overhear = Callable[[Connection], Callable[[], None]]


class _Message(msgspec.Struct, frozen=True):
    """A message of kombu's on Redis."""

    body: str
    headers: dict[str, Any] = {}
    properties: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Message).decode


def overhearing(app: CeleryApp, on_command: OnCommand) -> Overhear:
    """Return what lets ``on_command`` have each command that is sent to the app's workers."""

    def overhear(connection: Connection) -> Callable[[], None]:
        with suppress(Exception):  # whatever it is, it is no reason to have no lease
            exchange = app.control.mailbox(connection).exchange.name
            if connection.transport.driver_type == "redis":
                return _on_redis(connection, exchange, on_command)
            _on_amqp(connection, exchange, on_command)
        return lambda: None

    return overhear


def _on_amqp(connection: Connection, exchange: str, on_command: OnCommand) -> None:
    """Consume; py-amqp delivers while it waits for the answers to other questions."""

    def on_message(message: Any) -> None:
        with suppress(Exception):  # it may hold anything
            on_command(message.body, message.headers or {})

    channel: Any = connection.channel()  # of its own: a refusal closes it
    channel.auto_decode = False  # it may name any codec, and some take minutes
    # As kombu.pidbox declares it, since a worker may come later.
    channel.exchange_declare(exchange=exchange, type="fanout", durable=False, auto_delete=False)
    queue = channel.queue_declare(
        exclusive=True, auto_delete=True, arguments={"x-max-length": _MOST_WAITING}
    ).queue
    channel.queue_bind(queue=queue, exchange=exchange)
    channel.basic_consume(queue=queue, no_ack=True, callback=on_message)


def _on_redis(connection: Connection, exchange: str, on_command: OnCommand) -> Callable[[], None]:
    from redis import Redis  # not installed where the broker is another

    channel: RedisChannel = connection.default_channel
    topic = channel.global_keyprefix + channel._get_publish_topic(exchange, "")  # noqa: SLF001
    client = Redis(connection_pool=channel.pool)
    subscriber: Any = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    subscriber.subscribe(topic)

    def take() -> None:
        with suppress(Exception):  # it may hold anything, and the connection may have gone
            for _ in range(_MOST_AT_ONCE):
                received = subscriber.get_message(timeout=0)
                if received is None and not subscriber.connection.can_read(timeout=0):
                    return
                if received is not None:
                    _hand_on(received["data"], on_command)

    return take


def _hand_on(data: bytes, on_command: OnCommand) -> None:
    if len(data) > _MOST_BYTES:
        return
    with suppress(msgspec.MsgspecError, ValueError, RecursionError):
        message = _decode(data)
        is_encoded = message.properties.get("body_encoding") == "base64"
        on_command(base64.b64decode(message.body) if is_encoded else message.body, message.headers)
