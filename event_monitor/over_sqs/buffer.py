"""Buffer: a process's events until they are sent. Bounded; every event that is dropped is counted.

Any thread puts, and never waits; one thread waits and takes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Literal

from ..clock import SYSTEM_CLOCK, Clock
from .fields import Fields

__all__ = ["FULL_EVENTS", "Buffer", "Reason"]

FULL_EVENTS = 200  # these are sent at once: some 40 kB, so they fit into one message

Reason = Literal["beat", "flush", "end"]


class Buffer:
    """What is dropped where there is no more room is the oldest. Thread-safe.

    A heartbeat replaces the one before it that still waits: only the newest says anything.
    """

    def __init__(
        self, *, most_events: int, flush_seconds: float, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._most_events = most_events
        self._flush_seconds = flush_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._events: deque[Fields] = deque()
        self._heartbeat: Fields | None = None  # the one that waits
        self._due_at = 0.0  # by the monotonic clock, while there are any
        self._is_hurried = self._has_beaten = self._is_closed = False
        self._dropped = 0

    def put(self, events: Sequence[Fields], *, at_once: bool = False) -> None:
        """Keep events until they are taken; ``at_once``: they are not to wait for others."""
        with self._lock:
            before = len(self._events)
            self._events.extend(events)
            self._is_hurried = self._is_hurried or at_once
            self._note_growth(before)

    def put_heartbeat(self, event: Fields) -> None:
        """Keep a worker's heartbeat, instead of an older one."""
        with self._lock:
            if self._heartbeat is not None:
                self._heartbeat.clear()  # an empty one is no event
            before = len(self._events)
            self._events.append(event)
            self._heartbeat = event
            self._note_growth(before)

    def note_beat(self) -> None:
        """Let the thread that waits know at once that the worker's loop has come by."""
        with self._lock:
            self._has_beaten = True
            self._changed.notify()

    def take(self, most: int) -> list[Fields]:
        """Return up to so many of the oldest events; they are the caller's now."""
        with self._lock:
            taken = [self._events.popleft() for _ in range(min(most, len(self._events)))]
            if any(event is self._heartbeat for event in taken):
                self._heartbeat = None
            self._due_at = self._clock.monotonic() + self._flush_seconds
        return [event for event in taken if event]

    def wait(self, *, retry_at: float | None) -> Reason:
        """Wait until events have to be sent, a beat was noted, or this is closed.

        ``retry_at``: the last ones could not be sent, and are not tried again before that; by the
        monotonic clock.
        """
        with self._lock:
            while True:
                if self._has_beaten:
                    self._has_beaten = False
                    return "beat"
                if self._is_closed:
                    return "end"
                if retry_at is None and (self._is_hurried or len(self._events) >= FULL_EVENTS):
                    self._is_hurried = False
                    return "flush"
                due_at = self._due_at if self._events and retry_at is None else retry_at
                if due_at is None:
                    self._changed.wait()
                    continue
                seconds = due_at - self._clock.monotonic()
                if seconds <= 0:
                    return "flush"
                self._changed.wait(seconds)

    def close(self) -> None:
        """Wake up the thread that waits: nothing is to wait any more."""
        with self._lock:
            self._is_closed = True
            self._changed.notify()

    def __len__(self) -> int:
        with self._lock:
            return sum(1 for event in self._events if event)

    @property
    def dropped(self) -> int:
        """Return how many events were dropped so far."""
        return self._dropped

    def note_dropped(self, count: int) -> None:
        """Count events that were dropped elsewhere."""
        with self._lock:
            self._dropped += count

    def _note_growth(self, before: int) -> None:
        while len(self._events) > self._most_events:
            oldest = self._events.popleft()
            if oldest is self._heartbeat:
                self._heartbeat = None
            self._dropped += bool(oldest)
        if not before:
            self._due_at = self._clock.monotonic() + self._flush_seconds
        if not before or self._is_hurried or before < FULL_EVENTS <= len(self._events):
            self._changed.notify()
