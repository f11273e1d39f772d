"""Timetable: when a schedule of Celery's is due next, as seen from any moment."""

from __future__ import annotations

from copy import copy
from datetime import datetime, timezone, tzinfo
from typing import Any

from celery.schedules import crontab, maybe_schedule, schedule

from ..broker.protocols import CeleryApp
from ..clock import Clock

__all__ = ["Timetable"]

_LOOKED_AT = 8  # dates from which the period of a crontab is told, such as that of office hours


class Timetable:
    """A schedule of Celery's, or of the user's own, asked as beat asks it. Not thread-safe.

    Times are wall-clock seconds since the epoch. ``written`` is what an entry of
    ``beat_schedule`` may have: seconds, a ``timedelta`` or a schedule. Raises ``ValueError`` where
    the next time cannot be estimated.
    """

    def __init__(
        self, written: Any, app: CeleryApp, *, clock: Clock, relative: bool = False
    ) -> None:
        self._at = now = clock.wall()
        try:
            self._schedule = copy(maybe_schedule(written, relative, app=app))
            self._schedule.app = app  # a copy may have lost it
            self._zone = self._zone_of(app)
            self._schedule.nowfun = self._now
        except Exception as error:  # whatever it is that stands there
            raise ValueError("it is no schedule") from error
        self.period_seconds = self._shortest_period(now)

    def due_in(self, *, since: float, now: float) -> float | None:
        """Return in how many seconds from ``now`` it is due, if it ran last at ``since``.

        Negative if it has been due for so long; None if that cannot be told.
        """
        self._at = now
        try:
            last_run_at = datetime.fromtimestamp(since, self._zone)
            if isinstance(self._schedule, crontab):
                # Of what Celery makes of this, older versions are an hour off on two days a year.
                start, delta, _ = self._schedule.remaining_delta(last_run_at)
                return float((start + delta).timestamp() - now)
            return float(self._schedule.remaining_estimate(last_run_at).total_seconds())
        except Exception:  # noqa: BLE001  a schedule of the user's own; it must end no shot
            return None

    def _zone_of(self, app: CeleryApp) -> tzinfo:
        """Return where the schedule is read: on the wall, or, of a mere period, where none is."""
        if isinstance(self._schedule, schedule) and not self._schedule.relative:
            return timezone.utc
        return self._schedule.now().tzinfo or app.timezone

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._at, self._zone)

    def _shortest_period(self, now: float) -> float:
        """Return the shortest time between the next dates; ``ValueError`` if there is none."""
        at, gaps = now, []
        for _ in range(_LOOKED_AT):
            gap = self.due_in(since=at, now=at)
            if gap is None or not gap > 0:  # so is NaN
                break
            gaps.append(gap)
            at += gap
        if not gaps:
            raise ValueError("its next time cannot be estimated")
        return min(gaps[1:], default=gaps[0])  # the first is from some moment in between
