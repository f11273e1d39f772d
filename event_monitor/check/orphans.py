"""Orphans: event queues on RabbitMQ that somebody left behind and nobody reads.

Every event is copied into each of them until they expire. AMQP cannot list queues, so RabbitMQ's
management API is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..probes.management import Management
from ..settings import Settings
from .finding import Finding

__all__ = ["examine_orphans"]

_SECONDS = 5.0


def examine_orphans(app: Any, settings: Settings) -> Iterator[Finding]:
    """A finding on queues of the event exchange without a consumer; RabbitMQ only."""
    connection = app.connection_for_read()
    if connection.transport.driver_type != "amqp":
        return
    if not settings.management_url:
        yield Finding("event queues", "skipped", "set management_url to look for abandoned ones")
        return
    try:
        queues = _queues(settings.management_url, connection.virtual_host or "/")
    except Management.gone as error:
        yield Finding(
            "event queues",
            "warning",
            f"the management API does not answer: {error}",
            "management_url is like http://user:password@host:15672.",
        )
        return
    prefix = f"{app.conf.event_queue_prefix}."
    orphans = [
        one
        for one in queues
        if str(one.get("name", "")).startswith(prefix) and not one.get("consumers")
    ]
    if not orphans:
        yield Finding("event queues", "ok", "none is abandoned")
        return
    waiting = sum(int(one.get("messages") or 0) for one in orphans)
    names = ", ".join(str(one["name"]) for one in orphans[:5])
    yield Finding(
        "event queues",
        "warning",
        f"{len(orphans)} without a reader, holding {waiting} messages: {names}",
        "Delete them, or set event_queue_expires in whatever made them.",
    )


def _queues(url: str, vhost: str) -> list[dict[str, Any]]:
    management = Management(url, timeout_seconds=_SECONDS)
    try:
        return list(management.queues(vhost, columns=("name", "consumers", "messages")))
    finally:
        management.close()
