"""Testing: the fakes that this package is tested with, for your tests too. No pytest, no moto."""

from __future__ import annotations

from ..sinks.memory import MemorySink
from .strict_cloudwatch import Datum, Fault, StrictCloudWatch

__all__ = ["Datum", "FakeClock", "Fault", "MemorySink", "StrictCloudWatch"]


class FakeClock:
    """A clock that stands still until a test advances it.

    Any thread may read it; only one may advance it.
    """

    def __init__(self, wall: float = 1_700_000_000.0, monotonic: float = 1_000.0) -> None:
        self._wall = wall
        self._monotonic = monotonic

    def monotonic(self) -> float:
        """Return seconds that never step back."""
        return self._monotonic

    def wall(self) -> float:
        """Return seconds since the Unix epoch."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass on both readings."""
        self._wall += seconds
        self._monotonic += seconds

    def sleep(self, seconds: float) -> None:
        """Advance at once instead of blocking."""
        self.advance(seconds)

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward or, negative, back, as an administrator or NTP does."""
        self._wall += seconds
