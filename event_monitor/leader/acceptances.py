"""Acceptances: tells the other monitors what was accepted, and later what could not be told."""

from __future__ import annotations

import threading

from ..clock import Clock
from .own_events import OwnEvents

__all__ = ["Acceptances"]

_RETRY_SECONDS = 1.0  # before it is tried again
_TELL_SECONDS = 1.0  # for which this goes on at most: the lease has to be renewed
_MOST_WAITING = 100  # windows


class Acceptances:
    """The windows of which the others have to know that they were accepted. Thread-safe.

    Each has its id, and what tells it from others': see ``ClosedWindows.beginning``. Who does not
    hear of it sends it again, if it leads next.
    """

    def __init__(self, own_events: OwnEvents, clock: Clock) -> None:
        self._own_events = own_events
        self._clock = clock
        self._lock = threading.Lock()  # never held when something is told
        self._waiting: dict[str, dict[str, str]] = {}
        self._retry_at = 0.0

    def note(self, window: str, beginning: dict[str, str]) -> None:
        """Note that this is to be told, at the next ``tell_rest``, unless too many wait."""
        with self._lock:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting[window] = beginning
            self._retry_at = 0.0

    def hurry(self) -> None:
        """Try again at once: the broker is back."""
        self._retry_at = 0.0

    def tell(self, window: str, beginning: dict[str, str]) -> bool:
        """Tell it; return whether the broker has it. If not, ``tell_rest`` tries again."""
        if self._own_events.announce("accepted", window, **beginning):
            with self._lock:
                self._waiting.pop(window, None)
            return True
        self.note(window, beginning)
        self._retry_at = self._clock.monotonic() + _RETRY_SECONDS
        return False

    def tell_rest(self) -> None:
        """Tell what waits, until that fails: each time may take some seconds."""
        with self._lock:
            is_due = self._clock.monotonic() >= self._retry_at
            waiting = tuple(self._waiting.items()) if is_due else ()
        until = self._clock.monotonic() + _TELL_SECONDS
        for window, beginning in waiting:
            if not self.tell(window, beginning) or self._clock.monotonic() >= until:
                return
