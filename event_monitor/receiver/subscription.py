"""Subscriptions: one live hold on the event exchange, per kind of broker.

A subscription is opened once, read until its broker is gone, and thrown away; connecting again is
the receiver's business. Each notices by itself, within ten seconds, that nobody is there any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import InvalidEvent
from ..snapshot import AckToken

__all__ = ["OnInvalid", "Reading", "Subscription", "carries_events", "subscription_to"]

OnInvalid = Callable[[InvalidEvent], None]

#: A broker that says nothing for so long is asked; one that does not answer by the second is gone.
QUIET_SECONDS, SILENT_SECONDS = 3.0, 8.0
_WITHOUT_EVENTS = frozenset({"gcpubsub", "sql", "sqs", "zookeeper"})  # kombu's driver types
CONNECT_SECONDS = 5.0  # also how long any single answer may take while connecting


@dataclass(frozen=True, slots=True)
class Reading:
    """The bodies of some messages, in order, and the token for them if they need one."""

    bodies: Sequence[bytes] = ()
    token: AckToken | None = None


class Subscription(Protocol):
    """The contract of every kind. Used by one thread; ``gone`` is what it raises at its end."""

    gone: tuple[type[BaseException], ...]
    connection: Any  # the kombu connection it is made of

    def open(self) -> None:
        """Connect and subscribe: events sent after this returns are received."""
        ...

    def read(self, timeout_seconds: float) -> Reading:
        """Wait that long at the most for a message, and return all that are there already."""
        ...

    def acknowledge(self, token: AckToken, *, last: bool = False) -> None:
        """Tell the broker that these messages are safe, and all before them.

        If it is the ``last`` word, return only when the broker has it; nothing can be read then.
        """
        ...

    def close(self) -> None:
        """Let go, without waiting for a broker that may not answer. Never raises."""
        ...


def carries_events(connection: Any) -> bool:
    """Whether Celery sends events over the transport of this connection."""
    return connection.transport.driver_type not in _WITHOUT_EVENTS


def subscription_to(
    connection: Any, *, queue: Any, on_invalid: OnInvalid, durable: Any = None
) -> Subscription:
    """The kind that suits the connection; it makes one of its own after it, and opens nothing yet.

    ``queue`` is the kombu queue Celery's receiver would consume from. ``durable`` is a
    ``durable.Terms`` for a queue that outlives us, RabbitMQ only.
    """
    if connection.transport_cls in ("redis", "rediss", "redis+socket", "sentinel"):
        from .redis import RedisSubscription

        return RedisSubscription(connection, exchange=queue.exchange.name, on_invalid=on_invalid)
    if durable is not None:
        from .durable import DurableSubscription

        return DurableSubscription(connection, queue=queue, on_invalid=on_invalid, terms=durable)
    if connection.transport_cls in ("amqp", "amqps", "pyamqp"):
        from .amqp import AmqpSubscription

        return AmqpSubscription(connection, queue=queue, on_invalid=on_invalid)
    from .kombu import QueueSubscription

    return QueueSubscription(connection, queue=queue, on_invalid=on_invalid)
