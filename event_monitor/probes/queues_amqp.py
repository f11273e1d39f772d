"""AMQP: queues by passive declaration; RabbitMQ, and every other transport of kombu.

RabbitMQ tells what is ready and who consumes. What else is known comes from its management API,
whose numbers are up to five seconds old. Messages are never taken to be looked at: giving them
back would change their order.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from ..broker.connections import cut_unless_done
from ..broker.management import Management
from ..survey import QueueDepth
from .link import GONE, Link, sentence

__all__ = ["DeclareProbe"]

log = logging.getLogger(__name__)

_TOO_MUCH = 1e18  # for anything that is counted here
_COLUMNS = (
    "name",
    "messages_unacknowledged",
    "memory",
    "head_message_timestamp",
    "message_stats.publish_details.rate",
    "message_stats.deliver_get_details.rate",
)


class DeclareProbe:
    """Ready, and on RabbitMQ consumers; the rest too if there is a ``management_url``.

    A queue that is not there, or that we may not see, is logged when it is first met.
    """

    gone = GONE

    def __init__(
        self, connection: Any, *, timeout_seconds: float, management_url: str = ""
    ) -> None:
        self._link = Link(connection, timeout_seconds=timeout_seconds)
        self._seconds = timeout_seconds
        self._vhost = connection.virtual_host or "/"
        self._management = (
            Management(management_url, timeout_seconds=timeout_seconds) if management_url else None
        )
        self._is_managed = True  # as far as it was told to the log
        self._missing: set[str] = set()

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        """One declaration per queue, and one request for all of them."""
        self._missing.intersection_update(names)
        depths = self._link.ask(lambda connection: tuple(self._declared(connection, names)))
        told = self._told()
        return tuple(
            _with_details(depth, told[depth.name]) if depth.name in told else depth
            for depth in depths
        )

    def close(self) -> None:
        """Close the connection, and those to the management API."""
        self._link.close()
        if self._management is not None:
            self._management.close()

    def _declared(self, connection: Any, names: Collection[str]) -> Iterator[QueueDepth]:
        is_amqp = connection.transport.driver_type == "amqp"
        with cut_unless_done(connection, self._seconds):
            channel = connection.channel()
        for name in names:
            with cut_unless_done(connection, self._seconds):
                try:
                    declared = channel.queue_declare(queue=name, passive=True)
                except connection.channel_errors as error:
                    # The server has closed the channel, and py-amqp has opened it again.
                    self._miss(name, error)
                    yield QueueDepth(name)
                    continue
            self._missing.discard(name)
            yield QueueDepth(
                name,
                ready=declared.message_count,
                # Kombu's virtual transports always say 0.
                consumers=declared.consumer_count if is_amqp else None,
            )
        with cut_unless_done(connection, self._seconds):
            channel.close()

    def _miss(self, name: str, error: BaseException) -> None:
        if name not in self._missing:
            self._missing.add(name)
            log.warning("nothing is known of queue %s: %s", name, sentence(error))

    def _told(self) -> dict[str, dict[str, Any]]:
        """What the management API says, by queue; nothing if it does not answer."""
        if self._management is None:
            return {}
        try:
            told = {
                str(one.get("name")): one
                for one in self._management.queues(self._vhost, columns=_COLUMNS)
            }
        except Management.gone as error:
            if self._is_managed:
                log.warning("no unacknowledged messages and rates of queues: %s", sentence(error))
            self._is_managed = False
            return {}
        if not self._is_managed:
            log.info("the management API answers again")
        self._is_managed = True
        return told


def _with_details(depth: QueueDepth, told: dict[str, Any]) -> QueueDepth:
    arrivals, deliveries = (_rate(told, key) for key in ("publish", "deliver_get"))
    if arrivals is not None or deliveries is not None:
        # It leaves out what has never happened, but only where it measures rates at all.
        arrivals, deliveries = arrivals or 0.0, deliveries or 0.0
    head = _number(told.get("head_message_timestamp"))
    return replace(
        depth,
        unacked=_whole(told.get("messages_unacknowledged")),
        memory_bytes=_whole(told.get("memory")),
        arrivals_per_second=arrivals,
        deliveries_per_second=deliveries,
        # The producer's AMQP timestamp, which Celery does not set by itself.
        oldest_seconds=None if head is None else max(0.0, time.time() - head),
    )


def _rate(told: dict[str, Any], key: str) -> float | None:
    stats = told.get("message_stats")
    details = stats.get(f"{key}_details") if isinstance(stats, dict) else None
    return _number(details.get("rate")) if isinstance(details, dict) else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < _TOO_MUCH else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
