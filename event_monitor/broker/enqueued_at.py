"""Stamp: the time a task was published, written into its message's headers and read from them.

A broker does not tell how old a message is. Redis keeps no time at all, so the producer has to.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from celery.signals import before_task_publish

from ..events import epoch_of

__all__ = ["HEADER", "age_of", "stamp_tasks"]

HEADER = "event_monitor_sent_at"  # seconds since the epoch, by the producer's clock
_SENTRY = "sentry-task-enqueued-time"  # the same, as sentry-sdk's Celery integration writes it
_FAR_FUTURE = 4_102_444_800.0  # 2100-01-01; a time beyond is no time


def stamp_tasks(app: Any = None) -> None:
    """Write the time into each task this process publishes; calling it again changes nothing.

    Call it where the app is made, in producers and workers alike. ``app`` is only there so that
    the line reads well: Celery's signal does not tell apps apart. A retry keeps its first stamp.
    """
    del app
    before_task_publish.connect(_stamp, weak=False, dispatch_uid=HEADER)


def age_of(headers: Any, *, now: float) -> float | None:
    """Seconds since the message was published, or since its eta if that was later; at least 0.

    ``now`` is wall-clock time. None if the message carries no stamp.
    """
    if not isinstance(headers, Mapping):
        return None
    sent_at = _stamp_of(headers)
    if sent_at is None:
        return None
    return max(0.0, now - max(sent_at, epoch_of(headers.get("eta")) or 0.0))


def _stamp(headers: Any = None, **_: Any) -> None:
    """Publishing must not fail because of us, so anything unexpected is left as it is."""
    if not isinstance(headers, dict):
        return
    within = headers.get("headers")
    sent_at = _seconds(headers.get(HEADER))
    if sent_at is None and isinstance(within, Mapping):
        sent_at = _seconds(within.get(HEADER))
    headers[HEADER] = time.time() if sent_at is None else sent_at
    if isinstance(within, Mapping):
        # Where a tracer has put headers within the headers, a retry sends these only
        # (celery/celery#4875). A copy, since the caller may use the mapping again.
        headers["headers"] = {**within, HEADER: headers[HEADER]}


def _stamp_of(headers: Mapping[Any, Any]) -> float | None:
    within = headers.get("headers")
    places = (headers, within) if isinstance(within, Mapping) else (headers,)
    found = (_seconds(place.get(name)) for name in (HEADER, _SENTRY) for place in places)
    return next((one for one in found if one is not None), None)


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < _FAR_FUTURE else None
