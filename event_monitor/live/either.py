"""Either: looks through a monitor as soon as one answers, until then by asking the broker."""

from __future__ import annotations

from ..clock import SYSTEM_CLOCK, Clock
from ..errors import UnavailableError
from ..history import Run
from .look import Look, Source
from .monitor import NoMonitorError

__all__ = ["Either"]

_AGAIN_SECONDS = 30.0  # before a monitor that was not there is looked for again


class Either:
    """A monitor once it has answered, for good: it may be away, and comes back. See ``Source``."""

    def __init__(self, monitor: Source, broker: Source, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._monitor = monitor
        self._broker = broker
        self._clock = clock
        self._chosen: Source = broker
        self._look_for_it_at = clock.monotonic()

    @property
    def where(self) -> str:
        """Return who answered last."""
        return self._chosen.where

    def look(self) -> Look:
        """Look through whichever is there; see ``Source``."""
        now = self._clock.monotonic()
        if self._chosen is not self._monitor and now >= self._look_for_it_at:
            self._look_for_it_at = now + _AGAIN_SECONDS
            try:
                look = self._monitor.look()
            except NoMonitorError as error:
                return self._look_at_broker(error)
            self._chosen = self._monitor
            return look
        return self._chosen.look()

    def _look_at_broker(self, error: NoMonitorError) -> Look:
        try:
            return self._broker.look()
        except UnavailableError as other:
            raise UnavailableError(f"{str(error).rstrip('.')}, and {other}") from other

    def runs(self, task_id: str) -> tuple[Run, ...]:
        """Return the runs of a task, of whoever answered last; see ``Source``."""
        return self._chosen.runs(task_id)
