"""Orphans: event queues on RabbitMQ that somebody left behind and nobody reads.

Every event is copied into each of them until they expire. AMQP cannot list queues, so RabbitMQ's
management API is asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from ..broker.management import Management
from ..settings import Settings
from .finding import Finding

__all__ = ["examine_orphans"]

_SECONDS = 5.0
_AGAIN_SECONDS = 2.0


def examine_orphans(app: Any, settings: Settings) -> Iterator[Finding]:
    """A finding on queues of the event exchange without a consumer; RabbitMQ only."""
    connection = app.connection_for_read()
    if connection.transport.driver_type != "amqp":
        return
    if not settings.management_url:
        yield Finding("event queues", "skipped", "set management_url to look for abandoned ones")
        return
    vhost = connection.virtual_host or "/"
    try:
        orphans = _unread(app, settings, vhost)
        if orphans:  # one whose reader has just come or gone, as ours has, is none
            time.sleep(_AGAIN_SECONDS)
            before = {one["name"] for one in orphans}
            orphans = [one for one in _unread(app, settings, vhost) if one["name"] in before]
    except Management.gone as error:
        yield Finding(
            "event queues",
            "warning",
            f"the management API does not answer: {error}",
            "management_url is like http://user:password@host:15672.",
        )
        return
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


def _unread(app: Any, settings: Settings, vhost: str) -> list[dict[str, Any]]:
    """Name and messages of each event queue that has no consumer now."""
    prefix = f"{app.conf.event_queue_prefix}."
    management = Management(settings.management_url, timeout_seconds=_SECONDS)
    try:
        return [
            one
            for one in management.queues(vhost, columns=("name", "consumers", "messages"))
            if str(one.get("name", "")).startswith(prefix) and not one.get("consumers")
        ]
    finally:
        management.close()
