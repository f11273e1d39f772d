"""Clock steps: how old a window is, whatever the wall clock showed while it was counted."""

from __future__ import annotations

from collections import deque

from ..clock import Clock

__all__ = ["ClockSteps"]

_STEP_SECONDS = 60.0  # less is no reason to refuse anything
_MAX_STEPS = 100
_SLACK_SECONDS = 3_600.0  # a step is seen one interval late at most


class ClockSteps:
    """The times at which the wall clock was stepped, as far as ``look`` saw them.

    Thread-safe: it is looked at by one thread, and appended to by another.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Since when, by the monotonic clock, and how far ahead of that the wall clock is.
        self._steps: deque[tuple[float, float]] = deque(maxlen=_MAX_STEPS)
        self.look()

    def look(self) -> None:
        """Note if the clock was stepped. To be called once a window."""
        now = self._clock.monotonic()
        ahead = self._clock.wall() - now
        if not self._steps or abs(ahead - self._steps[-1][1]) > _STEP_SECONDS:
            self._steps.append((now, ahead))

    def age_of(self, timestamp: float) -> float | None:
        """Return how long ago the wall clock of this process showed that time, in seconds.

        None if it never did: then it is another process that dated something so.
        """
        now = until = self._clock.monotonic()
        for since, ahead in reversed(tuple(self._steps)):
            at = timestamp - ahead
            if since - _SLACK_SECONDS <= at <= until + _SLACK_SECONDS:
                return max(0.0, now - at)
            until = since
        return None
