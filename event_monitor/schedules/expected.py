"""Expected: which periodic tasks are expected, by the app's beat schedule and by the settings."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from celery.schedules import ParseException, crontab

from ..broker.protocols import CeleryApp
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import SettingsError
from ..settings import Settings
from ..text import printable
from .timetable import Timetable

__all__ = ["ExpectedTask", "expected_tasks"]

log = logging.getLogger(__name__)


class ExpectedTask:
    """A task name with its schedules, of which the one that is due first counts."""

    def __init__(self, name: str, timetables: tuple[Timetable, ...]) -> None:
        self.name = name
        self.period_seconds = min(timetable.period_seconds for timetable in timetables)
        self._timetables = timetables

    def due_in(self, *, since: float, now: float) -> float | None:
        """Return in how many seconds the first is due; see ``Timetable``."""
        found = (timetable.due_in(since=since, now=now) for timetable in self._timetables)
        return min((seconds for seconds in found if seconds is not None), default=None)


def expected_tasks(
    app: CeleryApp, settings: Settings, *, clock: Clock = SYSTEM_CLOCK
) -> tuple[ExpectedTask, ...]:
    """Return the tasks that app and settings expect; a name in the settings replaces the app's.

    Entries whose next time cannot be estimated are left out with a WARNING. Raises
    ``SettingsError`` for a crontab that is none.
    """
    tables: dict[str, list[Timetable]] = {}
    for name, written in settings.schedules:
        tables.setdefault(name, [])
        if written != "off":
            tables[name].append(_table_of(name, written, app, clock=clock))
    given = frozenset(tables)
    for key, name, entry in _entries(app):
        if name in given:
            continue
        try:
            relative = bool(entry.get("relative"))
            table = Timetable(entry.get("schedule"), app, clock=clock, relative=relative)
        except ValueError as error:
            log.warning(
                "the periodic task %s (%s) is not watched: %s",
                printable(str(key)),
                printable(name),
                error,
            )
        else:
            tables.setdefault(name, []).append(table)
    return tuple(ExpectedTask(name, tuple(found)) for name, found in tables.items() if found)


def _entries(app: CeleryApp) -> Iterator[tuple[object, str, Mapping[str, Any]]]:
    """Yield key, task name and the rest of each entry of the app's beat schedule."""
    app.finalize()
    beat_schedule = app.conf.get("beat_schedule")
    for key, entry in beat_schedule.items() if isinstance(beat_schedule, Mapping) else ():
        fields = getattr(entry, "__dict__", {})  # it may be a ScheduleEntry
        fields = entry if isinstance(entry, Mapping) else fields
        if isinstance(fields.get("task"), str):
            yield key, fields["task"], fields


def _table_of(name: str, written: str, app: CeleryApp, *, clock: Clock) -> Timetable:
    """Return the timetable of an entry of the settings; ``SettingsError`` if it is none."""
    try:
        return Timetable(_schedule_from(written), app, clock=clock)
    except (ValueError, ParseException) as error:
        problem = str(error).rstrip(".")
        raise SettingsError(f"schedules has {f'{name}={written}'!r}: {problem}.") from error


def _schedule_from(written: str) -> float | crontab:
    try:
        return float(written)
    except ValueError:
        minute, hour, day_of_month, month_of_year, day_of_week = written.split()
    return crontab(
        minute=minute,
        hour=hour,
        day_of_week=day_of_week,
        day_of_month=day_of_month,
        month_of_year=month_of_year,
    )
