"""Enqueued at: the time a task was published, in a header that producers write and others read.

A broker does not report how old a message is. Redis keeps no time at all, so the producer has to.
"""

from __future__ import annotations

from collections.abc import Mapping

from celery.signals import before_task_publish

from .clock import SYSTEM_CLOCK
from .events import epoch_of

__all__ = [
    "HEADER",
    "enqueued_at",
    "stamp_tasks",
    "waiting_since",
    "write_enqueued_at",
    "write_timestamp",
]

HEADER = "event_monitor_sent_at"  # seconds since the epoch, by the producer's clock
_SENTRY_HEADER = "sentry-task-enqueued-time"  # the same, by sentry-sdk's Celery integration
_FAR_FUTURE = 4_102_444_800.0  # 2100-01-01; a later time is nonsense


def stamp_tasks(app: object = None) -> None:
    """Write the time into each task this process publishes; calling it again changes nothing.

    Call it where the app is made, in producers and workers alike. ``app`` is only there so that
    the line reads well: Celery's signal is the same for all apps. A retry keeps its first time.
    """
    del app
    before_task_publish.connect(_on_publish, weak=False, dispatch_uid=HEADER)


def write_enqueued_at(headers: object, *, now: float) -> None:
    """Write ``now`` (wall-clock seconds) into a task's headers, unless they have a time already.

    Publishing must not fail because of us, so headers of an unexpected type are left as they are.
    """
    if not isinstance(headers, dict):
        return
    nested = headers.get("headers")
    since = _seconds(headers.get(HEADER))
    if since is None and isinstance(nested, Mapping):
        since = _seconds(nested.get(HEADER))
    headers[HEADER] = now if since is None else since
    if isinstance(nested, Mapping):
        # Where a tracer has put headers within the headers, a retry sends these only
        # (celery/celery#4875). A copy, since the caller may use the mapping again.
        headers["headers"] = {**nested, HEADER: headers[HEADER]}


def write_timestamp(properties: object, headers: object) -> None:
    """Write into a message's AMQP properties since when it waits, unless they have a timestamp.

    RabbitMQ reports that of the message at the head of a classic queue; it reads no headers.
    """
    since = waiting_since(headers)
    if isinstance(properties, dict) and since is not None:
        properties.setdefault("timestamp", int(since))


def waiting_since(headers: object) -> float | None:
    """Return when a message was published, or its eta if that is later: wall-clock seconds.

    None if the headers do not have the time of publishing.
    """
    if not isinstance(headers, Mapping):
        return None
    since = enqueued_at(headers)
    if since is None:
        return None
    return max(since, epoch_of(headers.get("eta")) or 0.0)


def _on_publish(headers: object = None, properties: object = None, **_: object) -> None:
    write_enqueued_at(headers, now=SYSTEM_CLOCK.wall())
    write_timestamp(properties, headers)


def enqueued_at(headers: Mapping[object, object]) -> float | None:
    """Return when a message was published, by its headers: wall-clock seconds; None if unsaid."""
    nested = headers.get("headers")
    places = (headers, nested) if isinstance(nested, Mapping) else (headers,)
    for name in (HEADER, _SENTRY_HEADER):
        for place in places:
            seconds = _seconds(place.get(name))
            if seconds is not None:
                return seconds
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < _FAR_FUTURE else None
