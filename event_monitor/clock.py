"""Clock: where time is read and slept, so that tests can bring their own.

The only module of this package that calls ``time``; everybody else is handed a ``Clock``.
"""

from __future__ import annotations

import select
import time
from typing import Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """Two readings, and a pause, in seconds. Thread-safe.

    Intervals and liveness use ``monotonic``; timestamps use ``wall``.
    """

    def monotonic(self) -> float:
        """Return seconds that never step back."""
        ...

    def wall(self) -> float:
        """Return seconds since the Unix epoch; an administrator may step it."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for that long."""
        ...


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    @staticmethod
    def sleep(seconds: float) -> None:
        """Block the calling thread for that long.

        Not by ``time.sleep``, which computes when that will be: where the wall clock is faked, as
        tests do, a moment that has passed meanwhile is an error there.
        """
        select.select((), (), (), seconds)


#: The default of every ``clock`` parameter. It has no state, so one serves all.
SYSTEM_CLOCK: Clock = SystemClock()
