"""Queues: how many messages wait in each queue, and how long, as the broker itself reports.

A probe is used by one thread, has a connection of its own, and bounds every wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from kombu import Queue
from kombu.common import Broadcast

from ..broker.protocols import CeleryApp, Errors
from ..clock import SYSTEM_CLOCK, Clock
from ..settings import Settings
from ..survey import QueueDepth

__all__ = ["QueueProbe", "queue_names", "queue_probe_to"]


class QueueProbe(Protocol):
    """The contract of every probe.

    ``gone``: what ``read`` raises if the broker cannot be asked. ``age_hint``: a sentence on what
    to do where the age of the oldest message is unknown; empty if nothing can be done. ``refusal``:
    the last error for which a part of an answer was left out, since the user may not read it.
    """

    gone: Errors
    age_hint: str
    refusal: Exception | None

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        """Return one depth per name, in that order. What is not known of a queue is None.

        Connects if need be, also after a failure. To connect, and each answer, takes at most
        ``probe_seconds``. Raises one of ``gone``, with a sentence for the log.
        """
        ...

    def close(self) -> None:
        """Close the connection. Never raises, waits for nobody."""
        ...


def queue_probe_to(
    app: CeleryApp, settings: Settings, *, clock: Clock = SYSTEM_CLOCK
) -> QueueProbe:
    """Return the probe that suits the app's broker. It has connected to nothing yet."""
    connection = app.connection_for_read()
    driver = connection.transport.driver_type
    if driver == "redis":
        from .queues_redis import RedisProbe

        return RedisProbe(connection, timeout_seconds=settings.probe_seconds, clock=clock)
    if driver == "sqs":
        from .queues_sqs import SqsProbe

        return SqsProbe(connection, timeout_seconds=settings.probe_seconds)
    from .queues_amqp import DeclareProbe

    return DeclareProbe(
        connection,
        timeout_seconds=settings.probe_seconds,
        management_url=settings.management_url if driver == "amqp" else "",
        clock=clock,
    )


def queue_names(app: CeleryApp, settings: Settings) -> tuple[str, ...]:
    """Return the queues that the app, its routes and the settings name, sorted."""
    names = {
        queue.name
        for queue in app.amqp.queues.values()
        if not isinstance(queue, Broadcast)  # each consumer has its own, with a random name
    }
    return tuple(sorted({*names, *_routed(app), *settings.queues}))


def _routed(app: CeleryApp) -> Iterator[str]:
    """Yield the queues that ``task_routes`` names; a function among the routes names none."""
    for routes in app.amqp.routes:
        for table in (getattr(routes, "map", None), getattr(routes, "patterns", None)):
            for route in table.values() if isinstance(table, dict) else ():
                queue = route.get("queue") if isinstance(route, dict) else route
                if isinstance(queue, Queue):
                    yield queue.name
                elif isinstance(queue, str) and queue:
                    yield queue
