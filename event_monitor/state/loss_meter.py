"""Loss meter: how many tasks a worker began, by its own count, against the events that came.

A heartbeat's ``processed`` counts every task the process began. Task events are buffered behind
heartbeats, so what belongs before one heartbeat is compared when the next arrives, by the worker's
own timestamps: an event dated before a heartbeat that has not come by the next is missing. It is
lost if it is still missing at the heartbeat after that: in pools of threads a task may be counted
a moment before its event is dated, on the other side of a heartbeat.
"""

from __future__ import annotations

from math import inf

__all__ = ["LossMeter"]

_STEP_SECONDS = 10.0  # heartbeats delivered out of order are not further apart


class LossMeter:
    """The loss meter of one worker process. Not thread-safe.

    It counts from the first heartbeat that is received; what came before is not our loss. Of a
    task-started that is later than ``mark_at`` it is enough to add 1 to ``seen_since``.
    """

    __slots__ = (
        "_base",
        "_base_at",
        "_began_before",
        "_mark",
        "_missing",
        "_reported",
        "_seen",
        "mark_at",
        "seen_since",
    )

    def __init__(self) -> None:
        self._base_at: float | None = None  # the first heartbeat: its timestamp, and its count
        self._base = 0
        self._began_before = False  # a task-started came before any heartbeat
        self.mark_at = inf  # the latest heartbeat
        self._mark = 0
        self._seen = 0  # task-started stamped between the two
        self.seen_since = 0  # and after the latest
        self._missing = 0  # at the heartbeat before
        self._reported = 0

    @property
    def has_started(self) -> bool:
        """Return whether a task-started came, other than late ones dated before the count."""
        return self._seen + self.seen_since > 0 or self._began_before

    def started(self, at: float, pid: int | None = None) -> None:
        """Count a task-started event; ``at`` is its timestamp, by the worker's clock."""
        del pid  # this is the meter of one process
        if self._base_at is None or at <= self._base_at:
            self._began_before = self._began_before or self._base_at is None
            return
        if at <= self.mark_at:
            self._seen += 1
        else:
            self.seen_since += 1

    def heartbeat(self, at: float, processed: int) -> int:
        """Compare at a heartbeat; return how many task-started events are found to be lost."""
        if self._base_at is None:
            self._base_at = self.mark_at = at
            self._base = self._mark = processed
            return 0
        if at <= self.mark_at:
            if processed >= self._mark and self.mark_at - at > _STEP_SECONDS:
                # Its clock was stepped back: nothing before can be compared with what comes.
                self._base_at = self.mark_at = at
                self._base = self._mark = processed
                self._seen = self._missing = self._reported = 0
            return 0
        missing = self._mark - self._base - self._seen
        lost = self._report(min(missing, self._missing))
        self._missing = missing
        self._seen += self.seen_since
        self.seen_since = 0
        self.mark_at, self._mark = at, processed
        return lost

    def settle(self) -> int:
        """Return what is lost up to the latest heartbeat and was not reported yet."""
        return self._report(self._mark - self._base - self._seen)

    def _report(self, missing: int) -> int:
        lost = max(0, missing - self._reported)
        self._reported += lost
        return lost
