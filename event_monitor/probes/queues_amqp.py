"""AMQP: queues by passive declaration; on RabbitMQ, and on every other transport of kombu.

Over AMQP, RabbitMQ reports only ready messages and consumers. The rest comes from its management
API, whose numbers are up to five seconds old. No message is ever taken to look at it: giving it
back would change the order.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from ..broker.connections import socket_deadline
from ..broker.management import Management
from ..broker.protocols import Channel, Connection
from ..clock import SYSTEM_CLOCK, Clock
from ..survey import QueueDepth
from ..text import one_line
from .link import GONE, Link

__all__ = ["DeclareProbe"]

log = logging.getLogger(__name__)

_MAX_NAME_BYTES = 255

_NOT_FOUND = "404"  # AMQP: there is no such queue; 403 would be one that we may not see
_TOO_MUCH = 1e18  # for any number read here
_COLUMNS = (
    "name",
    "type",
    "arguments",
    "messages_unacknowledged",
    "memory",
    "head_message_timestamp",
    "message_stats.publish_details.rate",
    "message_stats.deliver_get_details.rate",
)


class DeclareProbe:
    """Reads ready messages, on RabbitMQ consumers too, and the rest with a ``management_url``.

    A queue that does not exist, or that we may not see, is logged when that is first found out.
    """

    gone = GONE
    refusal: Exception | None = None  # what may not be read is unknown as a whole
    age_hint = (
        "RabbitMQ tells it only through management_url, while no message is unacknowledged, and "
        "if event_monitor.stamp_tasks(app) is called in producers and workers; else all producers "
        "have to send task-sent (task_send_sent_event), and all workers task events"
    )

    def __init__(
        self,
        connection: Connection,
        *,
        timeout_seconds: float,
        management_url: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._link = Link(connection, timeout_seconds=timeout_seconds)
        self._seconds = timeout_seconds
        self._vhost = connection.virtual_host or "/"
        self._management = (
            Management(management_url, timeout_seconds=timeout_seconds) if management_url else None
        )
        self._management_answers = True  # as far as the log knows
        self._missing: set[str] = set()  # as far as the log knows
        self._clock = clock

    def read(self, names: Collection[str]) -> tuple[QueueDepth, ...]:
        """Read all queues: one declaration each, and one request to the management API for all."""
        self._missing.intersection_update(names)
        depths = self._link.ask(lambda connection: tuple(self._declared(connection, names)))
        details = self._details()
        if details:
            now = self._clock.wall()
            has_rates = any(_rate(columns, "publish") is not None for columns in details.values())
            depths = tuple(
                _with_details(depth, details[depth.name], now=now, has_rates=has_rates)
                if depth.name in details
                else depth
                for depth in depths
            )
        return depths

    def close(self) -> None:
        """Close the connection, and those to the management API."""
        self._link.close()
        if self._management is not None:
            self._management.close()

    def _declared(self, connection: Connection, names: Collection[str]) -> Iterator[QueueDepth]:
        is_amqp = connection.transport.driver_type == "amqp"
        with socket_deadline(connection, self._seconds):
            channel: Channel = connection.channel()
        for name in names:
            if len(name.encode()) > _MAX_NAME_BYTES:  # an event may name any; AMQP has none such
                yield QueueDepth(name, missing=True)
                continue
            with socket_deadline(connection, self._seconds):
                try:
                    declared = channel.queue_declare(queue=name, passive=True)
                except connection.channel_errors as error:
                    # The server has closed the channel, and py-amqp has opened it again.
                    self._log_once(name, error)
                    yield QueueDepth(name, missing=_is_not_found(error))
                    continue
            self._missing.discard(name)
            yield QueueDepth(
                name,
                ready=declared.message_count,
                # Kombu's virtual transports always say 0.
                consumers=declared.consumer_count if is_amqp else None,
            )
        with socket_deadline(connection, self._seconds):
            channel.close()

    def _log_once(self, name: str, error: BaseException) -> None:
        if name not in self._missing:
            self._missing.add(name)
            log.warning(
                "nothing is known of queue %s: %s", name, one_line(error), extra={"queue": name}
            )

    def _details(self) -> dict[str, Mapping[str, object]]:
        """Return the management API's columns by queue; nothing if it does not answer."""
        if self._management is None:
            return {}
        try:
            details = {
                str(queue.get("name")): queue
                for queue in self._management.queues(self._vhost, columns=_COLUMNS)
            }
        except Management.gone as error:
            if self._management_answers:
                log.warning("no unacknowledged messages and rates of queues: %s", one_line(error))
            self._management_answers = False
            return {}
        if not self._management_answers:
            log.info("the management API answers again")
        self._management_answers = True
        return details


def _is_not_found(error: BaseException) -> bool:
    return str(getattr(error, "reply_code", "")) == _NOT_FOUND  # text on kombu's own transports


def _with_details(
    depth: QueueDepth, details: Mapping[str, object], *, now: float, has_rates: bool
) -> QueueDepth:
    """Return the depth with the columns of the API; ``has_rates``: it measures some queue's."""
    arrivals, deliveries = (_rate(details, key) for key in ("publish", "deliver_get"))
    if has_rates:  # it leaves out what has never happened
        arrivals, deliveries = arrivals or 0.0, deliveries or 0.0
    published_at = _oldest_published_at(details)
    return replace(
        depth,
        unacked=_whole(details.get("messages_unacknowledged")),
        memory_bytes=_whole(details.get("memory")),
        arrivals_per_second=arrivals,
        deliveries_per_second=deliveries,
        oldest_seconds=None if published_at is None else max(0.0, now - published_at),
    )


def _oldest_published_at(details: Mapping[str, object]) -> float | None:
    """Return when the oldest message that waits was published; None if that is not sure.

    It is the producer's AMQP timestamp, which Celery does not set by itself, but `stamp_tasks`
    does. The API reports that of the oldest message which waits or is unacknowledged, and of the
    highest priority only.
    """
    arguments = details.get("arguments")
    has_priorities = not isinstance(arguments, dict) or "x-max-priority" in arguments
    if has_priorities or details.get("type", "classic") != "classic":
        return None
    if _whole(details.get("messages_unacknowledged")) != 0:
        return None
    return _number(details.get("head_message_timestamp"))


def _rate(details: Mapping[str, object], key: str) -> float | None:
    stats = details.get("message_stats")
    rates = stats.get(f"{key}_details") if isinstance(stats, dict) else None
    return _number(rates.get("rate")) if isinstance(rates, dict) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < _TOO_MUCH else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
