"""Transports: which subscription suits which broker.

Each one's module, and the driver behind it, is imported only when it is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..broker.protocols import Connection
from ..clock import SYSTEM_CLOCK, Clock
from .subscription import OnInvalid, Subscription

if TYPE_CHECKING:
    from kombu import Queue

    from .durable import DurableQueue
    from .sqs import SqsSource

__all__ = ["subscription_to"]

_REDIS = frozenset({"redis", "rediss", "redis+socket", "sentinel"})  # schemes of a broker's URL
_AMQP = frozenset({"amqp", "amqps", "pyamqp"})


def subscription_to(
    connection: Connection,
    *,
    queue: Queue,
    on_invalid: OnInvalid,
    durable: DurableQueue | None = None,
    sqs: SqsSource | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Subscription:
    """Return the subscription that suits the connection's broker. It has connected to nothing yet.

    ``queue`` is the kombu queue that Celery's receiver would consume from. ``durable`` describes a
    queue that keeps events while no monitor runs; RabbitMQ only. ``sqs`` is where the events are if
    they are in a queue of SQS, whatever the broker.
    """
    if sqs is not None:
        from .sqs import SqsSubscription

        return SqsSubscription(connection, source=sqs, on_invalid=on_invalid, clock=clock)
    scheme = connection.transport_cls
    if scheme in _REDIS:
        from .redis import RedisSubscription

        return RedisSubscription(
            connection, exchange=queue.exchange.name, on_invalid=on_invalid, clock=clock
        )
    if durable is not None:
        from .durable import DurableSubscription

        return DurableSubscription(
            connection, queue=queue, on_invalid=on_invalid, durable=durable, clock=clock
        )
    if scheme in _AMQP:
        from .amqp import AmqpSubscription

        return AmqpSubscription(connection, queue=queue, on_invalid=on_invalid, clock=clock)
    from .kombu import QueueSubscription

    return QueueSubscription(connection, queue=queue, on_invalid=on_invalid)
