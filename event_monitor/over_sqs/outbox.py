"""Outbox: the events of one process, and the thread that sends them. Never outlives a fork."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import NamedTuple

from ..clock import SYSTEM_CLOCK, Clock
from .buffer import Buffer
from .configuration import EventQueue
from .packing import MOST_EVENTS, Packing
from .queue_client import Fault, QueueClient
from .wire import Header, encode

__all__ = ["Counts", "Outbox"]

log = logging.getLogger(__name__)

_WARN_SECONDS = 300.0  # between two warnings
_FAILING_SECONDS = 0.5  # the end waits so long where SQS has been away: it may be back


class Counts(NamedTuple):
    """How many events were sent, wait, and were dropped. They add up to those that were put."""

    sent: int
    kept: int
    dropped: int


class _Message(NamedTuple):
    body: str
    events: int


class Outbox:
    """The first event starts the thread. ``on_beat`` is called there after ``buffer.note_beat``.

    Whatever happens to SQS, the threads that put events do not wait: not for room, not for the
    network. What cannot be sent is tried again every ``flush_seconds``.
    """

    def __init__(
        self,
        queue: EventQueue,
        client: QueueClient,
        *,
        on_beat: Callable[[], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.buffer = Buffer(
            most_events=queue.buffer_events, flush_seconds=queue.flush_seconds, clock=clock
        )
        self._queue = queue
        self._client = client
        self._on_beat = on_beat
        self._clock = clock
        self._packing = Packing()
        self._id = os.urandom(6).hex()
        self._seq = 0
        self._sent = 0
        self._message: _Message | None = None  # that could not be sent yet
        self._retry_at: float | None = None
        self._is_failing = self._is_given_up = False
        self._warned_at: float | None = None
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def is_started(self) -> bool:
        """Return whether there is a thread."""
        return self._thread is not None

    def start(self) -> None:
        """Start the thread, if there is none. Where the system has no more, the next event may."""
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="event-sender", daemon=True)
                thread.start()
                self._thread = thread

    def counts(self) -> Counts:
        """Return what became of the events so far; exact while the thread rests."""
        kept = (
            len(self.buffer) + len(self._packing) + (self._message.events if self._message else 0)
        )
        return Counts(self._sent, kept, self.buffer.dropped)

    def close(self) -> None:
        """Let the thread send the rest, and end."""
        self.buffer.close()

    def join(self, seconds: float) -> None:
        """Wait until the thread has ended, for so long at most, and only once in vain."""
        if self._thread is None or self._is_given_up:
            return
        if self._is_failing:
            seconds = min(seconds, _FAILING_SECONDS)
        self._thread.join(max(0.0, seconds))
        left = self.counts().kept
        if left:
            self._is_given_up = True  # a process may end in two ways, one after the other
            log.warning("%d events are not sent: the process ends, and SQS did not take them", left)

    def _run(self) -> None:
        while True:
            reason = self.buffer.wait(retry_at=self._retry_at)
            try:
                if reason == "beat":
                    self._on_beat()
                else:
                    self._flush(is_last=reason == "end")
            except Exception:
                log.exception("events are not sent, by a fault of this package")
                self._retry_at = self._clock.monotonic() + self._queue.flush_seconds
            if reason == "end":
                return

    def _flush(self, *, is_last: bool) -> None:
        """Send what there is now, until something is in the way.

        What is put meanwhile has time until the next flush, or there would be many small messages.
        """
        left = len(self.buffer) + len(self._packing)
        self._retry_at = None
        while self._message or left > 0 or is_last:
            self._message = self._message or self._next_message()
            if self._message is None:
                return
            left -= self._message.events
            fault = self._client.send(self._message.body)
            if fault is None:
                self._sent += self._message.events
                self._note_success()
            elif fault.is_final:
                self.buffer.note_dropped(self._message.events)
                self._warn(fault)
            else:
                self._retry_at = self._clock.monotonic() + self._queue.flush_seconds
                self._warn(fault)
                return
            self._message = None

    def _next_message(self) -> _Message | None:
        missing = MOST_EVENTS - len(self._packing)
        if missing > 0:
            self.buffer.note_dropped(self._packing.add(self.buffer.take(missing)))
        lines, events = self._packing.take()
        if not lines:
            return None
        header = Header(sender=self._id, seq=self._seq, dropped=self.buffer.dropped)
        self._seq += 1
        return _Message(encode(header, lines), events)

    def _warn(self, fault: Fault) -> None:
        self._is_failing = True
        now = self._clock.monotonic()
        if self._warned_at is None or now - self._warned_at >= _WARN_SECONDS:
            self._warned_at = now
            counts = self.counts()
            log.warning(
                "events do not reach the SQS queue %s: %s; %d wait, %d were dropped so far",
                self._queue.name,
                fault.sentence,
                counts.kept,
                counts.dropped,
            )

    def _note_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            log.info("events reach the SQS queue %s again", self._queue.name)
