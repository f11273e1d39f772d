"""Meter: how many tasks a worker says it began, against those we were told of.

A heartbeat's ``processed`` counts every task the process began. Task events are buffered behind
heartbeats, so the reckoning up to one heartbeat is made when the next arrives, by the worker's own
timestamps: what was stamped before a heartbeat and has not come by the next is missing. It is lost
if it is missing still at the beat after that: in pools of threads a task may be counted a moment
before its event is stamped, on the other side of a heartbeat.
"""

from __future__ import annotations

__all__ = ["Meter"]

_STEP_SECONDS = 10.0  # heartbeats delivered out of order are not further apart


class Meter:
    """The loss meter of one worker process. Not thread-safe.

    Reckons from the first heartbeat we hear; what the process did before is not our loss.
    """

    __slots__ = (
        "_base",
        "_base_at",
        "_mark",
        "_mark_at",
        "_missing",
        "_reported",
        "_seen",
        "_seen_since",
    )

    def __init__(self) -> None:
        self._base_at: float | None = None  # the first heartbeat: its timestamp, and its count
        self._base = 0
        self._mark_at = 0.0  # the latest heartbeat
        self._mark = 0
        self._seen = 0  # task-started stamped between the two
        self._seen_since = 0  # and after the latest
        self._missing = 0  # at the heartbeat before
        self._reported = 0

    def started(self, at: float) -> None:
        """A task-started event came, with this timestamp of the worker's."""
        if self._base_at is None or at <= self._base_at:
            return
        if at <= self._mark_at:
            self._seen += 1
        else:
            self._seen_since += 1

    def heartbeat(self, at: float, processed: int) -> int:
        """A heartbeat came; returns how many task-started are found to be lost by now."""
        if self._base_at is None:
            self._base_at = self._mark_at = at
            self._base = self._mark = processed
            return 0
        if at <= self._mark_at:
            if processed >= self._mark and self._mark_at - at > _STEP_SECONDS:
                # Its clock was stepped back: nothing before can be compared with what comes.
                self._base_at = self._mark_at = at
                self._base = self._mark = processed
                self._seen = self._missing = self._reported = 0
            return 0
        missing = self._mark - self._base - self._seen
        lost = self._tell(min(missing, self._missing))
        self._missing = missing
        self._seen += self._seen_since
        self._seen_since = 0
        self._mark_at, self._mark = at, processed
        return lost

    def settle(self) -> int:
        """What is lost up to the latest heartbeat and was not reported yet."""
        return self._tell(self._mark - self._base - self._seen)

    def _tell(self, missing: int) -> int:
        lost = max(0, missing - self._reported)
        self._reported += lost
        return lost
