"""Abandoned queues: event queues on RabbitMQ that somebody left behind and nobody reads.

Every event is copied into each of them until they expire. AMQP cannot list queues, so RabbitMQ's
management API is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..broker.management import Management, why_unusable
from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..settings import Settings
from .finding import Finding, listed

__all__ = ["examine_abandoned_queues"]

_SECONDS = 5.0
_CONFIRM_SECONDS = 2.0  # until the second look: a reader may just be coming or going


@dataclass(frozen=True, slots=True)
class _Queue:
    """A queue without a consumer."""

    name: str
    messages: int


def examine_abandoned_queues(
    app: CeleryApp, settings: Settings, *, clock: Clock = SYSTEM_CLOCK
) -> Iterator[Finding]:
    """Yield a finding on event queues without a consumer; RabbitMQ only."""
    connection = app.connection_for_read()
    if connection.transport.driver_type != "amqp":
        if settings.management_url:
            problem = why_unusable(connection, settings.management_url, timeout_seconds=_SECONDS)
            yield Finding("event queues", "warning", problem)
        return
    if not settings.management_url:
        yield Finding("event queues", "skipped", "set management_url to look for abandoned ones")
        return
    management = Management(settings.management_url, timeout_seconds=_SECONDS)
    vhost, prefix = connection.virtual_host or "/", f"{app.conf.event_queue_prefix}."
    try:
        abandoned = _without_consumer(management, vhost, prefix=prefix)
        if abandoned:
            clock.sleep(_CONFIRM_SECONDS)
            names = {queue.name for queue in abandoned}
            still = _without_consumer(management, vhost, prefix=prefix)
            abandoned = [queue for queue in still if queue.name in names]
    except Management.gone as error:
        yield Finding(
            "event queues",
            "warning",
            f"management_url is of no use: {error}",
            "management_url is like http://user:password@host:15672.",
        )
        return
    finally:
        management.close()
    yield _judge(abandoned)


def _judge(abandoned: list[_Queue]) -> Finding:
    if not abandoned:
        return Finding("event queues", "ok", "none is abandoned")
    messages = sum(queue.messages for queue in abandoned)
    return Finding(
        "event queues",
        "warning",
        f"{len(abandoned)} without a reader, holding {messages} messages: "
        f"{listed([queue.name for queue in abandoned])}",
        "Delete them, or set event_queue_expires in whatever made them.",
    )


def _without_consumer(management: Management, vhost: str, *, prefix: str) -> list[_Queue]:
    """Return the event queues that have no consumer now."""
    return [
        _Queue(str(columns.get("name", "")), _messages(columns))
        for columns in management.queues(vhost, columns=("name", "consumers", "messages"))
        if str(columns.get("name", "")).startswith(prefix)
        and not str(columns.get("name", "")).startswith(f"{prefix}leader.")  # a lock, see `leader`
        and not columns.get("consumers")
    ]


def _messages(columns: Mapping[str, object]) -> int:
    messages = columns.get("messages")
    return messages if isinstance(messages, int) else 0
