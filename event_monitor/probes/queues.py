"""Queues: how much waits in each queue, and for how long, as the broker itself tells.

A probe is used by one thread, has a connection of its own, and bounds every wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Protocol

from kombu import Queue
from kombu.common import Broadcast

from ..settings import Settings
from ..survey import QueueDepth

__all__ = ["QueueProbe", "queue_names", "queue_probe_to"]


class QueueProbe(Protocol):
    """The contract of every kind; ``gone`` is what ``read`` raises if nothing can be asked."""

    gone: tuple[type[BaseException], ...]

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        """One per name, in that order. What cannot be known of a queue is None.

        Connects if need be, also after a failure. To connect, and each answer, takes at most
        ``probe_seconds``. Raises one of ``gone``, with a sentence for the log.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. Never raises, waits for nobody."""
        ...


def queue_probe_to(app: Any, settings: Settings) -> QueueProbe:
    """The kind that suits the app's broker; it opens nothing yet."""
    connection = app.connection_for_read()
    kind = connection.transport.driver_type
    if kind == "redis":
        from .queues_redis import RedisProbe

        return RedisProbe(connection, timeout_seconds=settings.probe_seconds)
    if kind == "sqs":
        from .queues_sqs import SqsProbe

        return SqsProbe(connection, timeout_seconds=settings.probe_seconds)
    from .queues_amqp import DeclareProbe

    return DeclareProbe(
        connection,
        timeout_seconds=settings.probe_seconds,
        management_url=settings.management_url if kind == "amqp" else "",
    )


def queue_names(app: Any, settings: Settings) -> tuple[str, ...]:
    """The queues known without any worker, sorted: the app's, its routes', and the settings'."""
    names = {
        queue.name
        for queue in app.amqp.queues.values()
        if not isinstance(queue, Broadcast)  # each consumer has one of its own, of a random name
    }
    return tuple(sorted({*names, *_routed(app), *settings.queues}))


def _routed(app: Any) -> Iterator[str]:
    """The queues ``task_routes`` names, as far as it is a table and no function."""
    for routes in app.amqp.routes:
        for table in (getattr(routes, "map", None), getattr(routes, "patterns", None)):
            for route in table.values() if isinstance(table, dict) else ():
                queue = route.get("queue") if isinstance(route, dict) else route
                if isinstance(queue, Queue):
                    yield queue.name
                elif isinstance(queue, str) and queue:
                    yield queue
