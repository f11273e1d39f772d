"""Capabilities: what Celery does over which transport. Connects to nothing.

"Carries events" and "answers remote control" are two questions: a broadcast needs a fanout
exchange, an event does not; and on SQS each question would create a queue that nobody deletes.
"""

from __future__ import annotations

from .protocols import Connection

__all__ = ["answers_remote_control", "carries_events"]

# By kombu's driver types.
_WITHOUT_EVENTS = frozenset({"gcpubsub", "sql", "sqs", "zookeeper"})
_WITHOUT_REMOTE_CONTROL = frozenset({"sqs"})  # even where SNS lends it a fanout


def carries_events(connection: Connection) -> bool:
    """Return whether Celery itself sends events over the transport of this connection.

    Where ``event_queue_of(app)`` is set they go over SQS, whatever the transport.
    """
    return connection.get_transport_cls().driver_type not in _WITHOUT_EVENTS


def answers_remote_control(connection: Connection) -> bool:
    """Return whether workers on this transport take commands such as ``inspect``.

    Where they do not, no broadcast is made: on SQS each would leave a queue of replies behind.
    """
    # The class: an instance holds a descriptor until the garbage collector finds it.
    transport = connection.get_transport_cls()
    return (
        transport.driver_type not in _WITHOUT_REMOTE_CONTROL
        # A worker asks the same before it subscribes to commands.
        and "fanout" in transport.implements.exchange_type
    )
