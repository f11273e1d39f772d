"""Takeover: what a new leader waits for, before it sends what the others hold as well."""

from __future__ import annotations

from uuid import uuid4

from ..clock import Clock

__all__ = ["Takeover"]

_LATE_SECONDS = 5.0  # how long a new leader waits to hear whether the last window was accepted


class Takeover:
    """From the end of one leader to the first window of the next. Not thread-safe.

    What was said before the end of the leader before us may wait to be read: it is, when the event
    comes back by which we say that we lead now.
    """

    def __init__(self, clock: Clock) -> None:
        self.leader_left = False  # gracefully: it may send nothing more
        self.id = ""  # of this one, in that event
        self._clock = clock
        self._free_at = self._late_until = self._grace_until = 0.0

    def begin(self, *, grace_seconds: float) -> None:
        """Note that we lead; who led before does so for that long at most."""
        now = self._clock.monotonic()
        grace = 0.0 if self.leader_left else grace_seconds
        longest = 0.0 if self.leader_left else max(grace, _LATE_SECONDS)
        self._grace_until = now + grace
        self._free_at = self._late_until = now + longest
        self.id = uuid4().hex[:16]

    def return_late(self) -> None:
        """Note that we have been away for so long that another may have led."""
        self._late_until = self._clock.monotonic() + _LATE_SECONDS

    def hear(self, window: str) -> None:
        """Note that an event of ours with this id came back."""
        if window and window == self.id:
            self._free_at = self._grace_until  # all that was said before is read

    def is_over(self) -> bool:
        """Return whether nobody else sends any more, as far as we know."""
        return self._clock.monotonic() >= self._free_at

    def may_hear_more(self) -> bool:
        """Return whether it may still be said that a window in doubt was accepted."""
        return self._clock.monotonic() < self._late_until
