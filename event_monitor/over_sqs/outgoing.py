"""Outgoing: which of a dispatcher's events leave, and what a worker adds to them."""

from __future__ import annotations

from typing import Any

from ..clock import SYSTEM_CLOCK, Clock
from ..events import WORKER_TYPES
from .fields import Fields
from .sender import sender_of
from .worker_facts import task_counts
from .worker_side import worker_side_of

__all__ = ["Outgoing"]

_EARLY = 0.05  # of the time between two beats: a tenth is what the monitor bears
_ROUNDING = 1e-6  # seconds: half a second are five tenths of one


class Outgoing:
    """The way of one dispatcher's events to the app's sender. One thread at a time."""

    def __init__(self, app: Any, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._sender = sender_of(app)
        self._side = worker_side_of(app)
        self._clock = clock
        self._beat_at: float | None = None
        self._goodbye: Fields | None = None  # as it was said

    def hand_over(self, event: list[Fields] | Fields) -> None:
        """Hand one event over, or a list of those that were buffered."""
        if isinstance(event, dict):
            if event["type"] in WORKER_TYPES:
                self._hand_over_beat(event)
                return
            event = [event]
        if self._side is not None:
            self._side.add_sent_times(event)
        self._sender.put(event)

    def close(self) -> None:
        """Say goodbye again if tasks have begun since the worker did.

        Celery says it before the pool begins what it has taken, and counts up to there.
        """
        goodbye, self._goodbye = self._goodbye, None
        if goodbye is None or "processed" not in goodbye:  # somebody else's
            return
        counts = task_counts()
        if counts["processed"] > goodbye["processed"]:
            now = self._clock.wall()
            self._hand_over_beat({**goodbye, **counts, "is_last": True, "timestamp": now})

    def _hand_over_beat(self, event: Fields) -> None:
        """Hand what a worker says of itself over; of heartbeats one each ``beat_seconds``.

        Or sooner: Celery makes one each ``freq``, and only some of these are sent. The time between
        them is told, since who beats faster than it says is taken for two workers.
        """
        now = self._clock.monotonic()
        own_seconds = float(event.get("freq") or 0.0)
        seconds = _seconds_between_beats(self._sender.queue.beat_seconds, own_seconds)
        is_beat = event["type"] == "worker-heartbeat"
        tolerance = min(own_seconds / 2, _EARLY * seconds)
        earliest = self._beat_at and self._beat_at + seconds - tolerance
        if is_beat and earliest and now < earliest:
            return
        self._beat_at = now
        event["freq"] = seconds
        if not is_beat:
            self._goodbye = dict(event) if event["type"] == "worker-offline" else None
        if self._side is not None:
            self._side.complete(event)
        if is_beat:
            self._sender.put_heartbeat(event)
        else:
            self._sender.put([event], at_once=event["type"] == "worker-online")
        self._sender.note_beat()


def _seconds_between_beats(wanted: float, own: float) -> float:
    """Return the multiple of Celery's own time between heartbeats that is not above ``wanted``."""
    return own * max(1.0, (wanted + _ROUNDING) // own) if own > 0 else wanted
