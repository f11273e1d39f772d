"""Shop: a beat, workers and a monitor on a clock of the test's own; a shot every minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from celery import Celery

from event_monitor.distribution import Distribution
from event_monitor.schedules import LastSeen, OverdueTasks, expected_tasks
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    ScheduledTask,
    Snapshot,
    TaskCounts,
    Window,
    WorkerState,
    WorkerStatus,
)
from event_monitor.testing import FakeClock

from ...support.making import W1

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = 60.0
HOUR = 3_600.0
DAY = 86_400.0

RECEIVED = TaskCounts(received=1, started=1)
SENT = TaskCounts(sent=1)
LISTENS = WorkerStatus(W1, WorkerState.ONLINE, 0.0)


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    """Return the seconds since the epoch of a time such as ``2026-03-29 03:00``."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def app_of(
    beat_schedule: Mapping[str, Mapping[str, Any]] | None = None, *, zone: str = "Europe/Berlin"
) -> Celery:
    """Return an app with these entries, of which the key is the task's name unless it is given."""
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.timezone = zone
    app.conf.beat_schedule = {
        key: {"task": key, **entry} for key, entry in (beat_schedule or {}).items()
    }
    return app


class Shop:
    """What the monitor of an app makes of minutes in which some tasks come."""

    def __init__(
        self,
        app: Celery,
        *,
        now: float = at("2026-06-01 12:00"),
        state_dir: str = "",
        **chosen: Any,
    ) -> None:
        self.clock = FakeClock(wall=now)
        self._app = app
        self._state_dir = state_dir
        self._settings = Settings(**chosen)
        self.delay = 0.0  # of the events, in seconds
        self.start_monitor()

    def start_monitor(self) -> None:
        """Let a new monitor begin, which knows what the ``state_dir`` knows."""
        self._overdue = OverdueTasks(
            expected_tasks(self._app, self._settings, clock=self.clock),
            interval_seconds=MINUTE,
            grace_seconds=self._settings.schedule_grace_seconds,
            last_seen=LastSeen(self._state_dir),
            clock=self.clock,
        )
        self.listen()

    def listen(self) -> None:
        """Let the broker be there from now on."""
        self._listening_since: float | None = self.clock.monotonic()

    def lose_broker(self) -> None:
        """Let the broker be away from now on."""
        self._listening_since = None

    def shoot(
        self,
        *names: str,
        counts: TaskCounts = RECEIVED,
        workers: tuple[WorkerStatus, ...] = (LISTENS,),
    ) -> tuple[ScheduledTask, ...]:
        """Let a minute pass in which these tasks come; return what is known after it."""
        opened_at = self.clock.wall()
        self.clock.advance(MINUTE)
        since = self._listening_since
        return self._overdue.after(
            Snapshot(
                Window(
                    opened_at,
                    self.clock.wall(),
                    tasks=tuple((name, counts) for name in names),
                    event_delay=Distribution((self.delay,), (1,)),
                ),
                workers=workers,
                listening_seconds=None if since is None else self.clock.monotonic() - since,
            )
        )

    def run(self, minutes: float, *names: str, **how: Any) -> set[str]:
        """Let so many minutes pass, with these tasks in each; return what was ever overdue."""
        found: set[str] = set()
        for _ in range(int(minutes)):
            found |= set(overdue(self.shoot(*names, **how)))
        return found

    def run_until(self, then: float, *names: str, **how: Any) -> set[str]:
        """Do so until that time."""
        return self.run((then - self.clock.wall()) / MINUTE, *names, **how)


def overdue(tasks: tuple[ScheduledTask, ...]) -> dict[str, float]:
    """Return the names of those that are overdue, and for how many seconds."""
    return {
        task.name: task.overdue_seconds
        for task in tasks
        if task.seen_at is not None and task.overdue_seconds
    }


def never_seen(tasks: tuple[ScheduledTask, ...]) -> list[str]:
    """Return the names of those that should have come and were never seen."""
    return [task.name for task in tasks if task.seen_at is None and task.overdue_seconds]
