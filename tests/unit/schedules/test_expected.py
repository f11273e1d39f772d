"""Expected: what an app and the settings expect, and what cannot be expected."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.beat import ScheduleEntry
from celery.schedules import BaseSchedule, crontab, schedule

from event_monitor.errors import EXIT_USAGE, SettingsError
from event_monitor.schedules import expected_tasks
from event_monitor.settings import Settings
from event_monitor.testing import FakeClock

from .shop import DAY, HOUR, app_of, at

CLOCK = FakeClock(wall=at("2026-06-01 12:00"))


def periods(app: Celery, **chosen: Any) -> dict[str, float]:
    """Return the names that are expected, and how often."""
    tasks = expected_tasks(app, Settings.load(environ={}, conf=chosen), clock=CLOCK)
    return {task.name: task.period_seconds for task in tasks}


def test_every_way_to_write_an_entry_is_understood() -> None:
    """Seconds, a timedelta, a schedule and a crontab; keys are no names."""
    app = app_of(
        {
            "seconds": {"schedule": 30},
            "delta": {"schedule": timedelta(minutes=5), "relative": True},
            "schedule": {"schedule": schedule(90.0)},
            "key": {"task": "crontab", "schedule": crontab(minute="*/15", hour="8-17")},
        }
    )
    assert periods(app) == {
        "seconds": 30.0,
        "delta": 300.0,
        "schedule": 90.0,
        "crontab": 900.0,
    }


def test_an_entry_may_be_an_object() -> None:
    """Celery's own; what is nothing of the kind is beat's to complain about."""
    entry = ScheduleEntry(name="key", task="object", schedule=60.0, app=app_of())
    app = app_of()
    app.conf.beat_schedule = {"key": entry, "odd": 5, "empty": {}}
    assert periods(app) == {"object": 60.0}
    app.conf.beat_schedule = ["odd"]
    assert periods(app) == {}


def test_entries_that_the_app_adds_when_it_is_configured_are_expected() -> None:
    """As Celery's guide has it."""

    def add(sender: Celery, **_: Any) -> None:
        sender.add_periodic_task(45.0, sender.signature("proj.added"), name="added")

    app = app_of()
    app.on_after_finalize.connect(add)

    assert periods(app) == {"proj.added": 45.0}


def test_the_settings_know_what_is_in_a_database() -> None:
    """They replace what the app says of the same task; of several entries the shortest counts."""
    app = app_of({"kept": {"schedule": 60.0}, "slow": {"schedule": 60.0}, "gone": {"schedule": 60}})

    assert periods(app, schedules="slow=3600,gone=off,new=0 3 * * *,new=7200") == {
        "slow": HOUR,
        "new": 2 * HOUR,
        "kept": 60.0,
    }


def test_a_crontab_is_read_in_the_time_zone_of_the_app() -> None:
    """03:00 is 01:00 UTC in a Berlin summer."""
    (task,) = expected_tasks(app_of(), Settings(schedules=(("a", "0 3 * * *"),)), clock=CLOCK)
    noon = at("2026-06-01 12:00")

    assert task.due_in(since=noon, now=noon) == 15 * HOUR
    assert task.due_in(since=noon, now=noon + DAY) == -9 * HOUR


def test_a_schedule_with_a_clock_of_its_own_keeps_its_time_zone() -> None:
    """The old way to have crontabs of several zones in one app; the app's own is not touched."""

    def in_utc() -> datetime:
        return datetime.fromisoformat("2026-06-01T10:00:00+00:00")

    own = crontab(hour="3", minute="0", nowfun=in_utc, app=app_of(zone="UTC"))
    app = app_of({"a": {"schedule": own}}, zone="UTC")
    (task,) = expected_tasks(app, Settings(), clock=CLOCK)
    noon = at("2026-06-01 12:00")

    assert task.due_in(since=noon, now=noon) == 17 * HOUR
    assert own.nowfun is in_utc


class Unknowable(BaseSchedule):  # type: ignore[misc]  # Celery ships no types
    """A schedule that tells only whether it is due."""

    def is_due(self, _: datetime) -> tuple[bool, float]:
        return False, 60.0


class OnceADay(BaseSchedule):  # type: ignore[misc]  # Celery ships no types
    """A schedule of a project's own that can be asked."""

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        remaining: timedelta = last_run_at + timedelta(days=1) - self.now()
        return remaining


@pytest.mark.parametrize("odd", [Unknowable(), 0, None, "60", -5.0, object()])
def test_what_cannot_be_estimated_is_left_out_and_named(
    odd: object, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are watched all the same."""
    app = app_of({"entry": {"task": "odd", "schedule": odd}, "good": {"schedule": 60.0}})
    with caplog.at_level(logging.WARNING):
        assert periods(app) == {"good": 60.0}

    (record,) = caplog.records
    assert record.getMessage().startswith("the periodic task entry (odd) is not watched: it")


def test_a_schedule_of_a_projects_own_is_asked() -> None:
    """Whatever class it is."""
    assert periods(app_of({"own": {"schedule": OnceADay()}})) == {"own": DAY}


def test_a_schedule_that_fails_later_ends_no_shot() -> None:
    """It is not judged meanwhile."""

    class Moody(OnceADay):
        fails = False

        def remaining_estimate(self, last_run_at: datetime) -> timedelta:
            if Moody.fails:
                raise RuntimeError("boom")
            return super().remaining_estimate(last_run_at)

    (task,) = expected_tasks(app_of({"own": {"schedule": Moody()}}), Settings(), clock=CLOCK)
    Moody.fails = True
    assert task.due_in(since=CLOCK.wall(), now=CLOCK.wall()) is None


@pytest.mark.parametrize(
    "crontab_text", ["61 3 * * *", "0 3 * * nonday", "0 3 30 2 *", "*/x * * * *"]
)
def test_a_crontab_that_is_none_ends_the_start_with_one_sentence(crontab_text: str) -> None:
    """It can never work."""
    with pytest.raises(SettingsError) as caught:
        periods(app_of(), schedules={"shop.nightly": crontab_text})

    assert caught.value.exit_code == EXIT_USAGE
    sentence = str(caught.value)
    assert sentence.startswith(f"schedules has 'shop.nightly={crontab_text}': ")
    assert not sentence.endswith("..")
