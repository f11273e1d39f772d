"""Overdue: a periodic task that stays away is known, and no healthy system is accused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from celery.schedules import crontab

from event_monitor.snapshot import OTHER, TaskCounts

from .shop import (
    DAY,
    HOUR,
    LISTENS,
    MINUTE,
    RECEIVED,
    SENT,
    Shop,
    app_of,
    at,
    never_seen,
    overdue,
)

POLL = {"poll": {"schedule": 600.0}}
NIGHTLY = {"nightly": {"schedule": crontab(hour="3", minute="0")}}


def test_a_task_that_stays_away_is_overdue_after_its_period_and_a_grace() -> None:
    """Ten minutes, one for the clock of beat's host, and two shots."""
    shop = Shop(app_of(POLL))
    shop.shoot("poll")

    assert shop.run(13) == set()
    assert overdue(shop.shoot()) == {"poll": MINUTE}
    assert overdue(shop.shoot()) == {"poll": 2 * MINUTE}
    assert overdue(shop.shoot("poll")) == {}


def test_a_task_that_comes_is_never_overdue() -> None:
    """For a day, at the last moment of its period."""
    shop = Shop(app_of(POLL))

    for _ in range(144):
        assert shop.run(9) | set(overdue(shop.shoot("poll"))) == set()


@pytest.mark.parametrize("counts", [SENT, TaskCounts(received=1), TaskCounts(started=1)])
def test_whatever_tells_of_it_is_enough(counts: TaskCounts) -> None:
    """Also one that a person called: it is told apart by nothing."""
    shop = Shop(app_of(POLL))
    shop.shoot("poll", counts=counts)
    shop.run(9)
    shop.shoot("poll", counts=counts)

    assert shop.run(9) == set()


def test_nothing_is_known_where_nothing_is_expected() -> None:
    """Not even that none is overdue."""
    assert Shop(app_of()).shoot("poll") == ()


def test_entries_of_one_task_are_judged_by_the_shortest_period() -> None:
    """By its name, nothing tells them apart."""
    often = {"often": {"task": "poll", "schedule": 600.0}}
    seldom = {"seldom": {"task": "poll", "schedule": DAY}}
    shop = Shop(app_of({**seldom, **often}))
    shop.shoot("poll")

    assert shop.run(15) == {"poll"}


def test_a_grace_may_be_asked_for() -> None:
    """Where queues are long, and no producer sends events."""
    shop = Shop(app_of(POLL), schedule_grace_seconds=HOUR)
    shop.shoot("poll")

    assert shop.run(10 + 1 + 60) == set()
    assert shop.run(1) == {"poll"}


def test_the_grace_is_a_tenth_of_the_period_and_half_an_hour_at_most() -> None:
    """Six minutes of an hour; half an hour of a day."""
    shop = Shop(app_of({"hourly": {"schedule": HOUR}, "daily": {"schedule": DAY}}))
    shop.shoot("hourly", "daily")

    assert shop.run(60 + 1 + 6) == set()
    assert shop.run(1) == {"hourly"}
    assert shop.run(24 * 60 + 1 + 30 - 68) == {"hourly"}
    assert shop.run(1) == {"hourly", "daily"}


# -- never seen ------------------------------------------------------------------------------------


def test_a_new_entry_is_not_overdue_but_never_seen() -> None:
    """After a whole period; it may be disabled in a database, or be sent to another broker."""
    shop = Shop(app_of(POLL))

    assert all(never_seen(shop.shoot()) == [] for _ in range(13))
    tasks = shop.shoot()
    assert (never_seen(tasks), overdue(tasks)) == (["poll"], {})
    shop.shoot("poll")
    assert never_seen(shop.shoot()) == []


def test_a_new_entry_is_judged_once_it_was_seen() -> None:
    """Beat has it a while later than the monitor."""
    shop = Shop(app_of(POLL))
    shop.run(120)
    shop.shoot("poll")

    assert shop.run(15) == {"poll"}


# -- nothing can be known --------------------------------------------------------------------------


def test_nobody_is_judged_while_the_broker_is_away_nor_before_the_next_time_after_it() -> None:
    """What came meanwhile was seen by nobody."""
    shop = Shop(app_of(POLL))
    shop.shoot("poll")

    shop.lose_broker()
    assert all(shop.shoot() == () for _ in range(60))
    shop.listen()
    assert shop.run(13) == set()
    assert shop.run(1) == {"poll"}


def test_workers_that_send_no_task_events_tell_of_nothing() -> None:
    """One that was started without -E may have taken it; its next time after that counts."""
    shop = Shop(app_of(POLL))
    shop.shoot("poll")

    silent = replace(LISTENS, sends_task_events=False)
    assert all(shop.shoot(workers=(LISTENS, silent)) == () for _ in range(60))
    assert shop.run(13) == set()
    assert shop.run(1) == {"poll"}


def test_without_workers_only_its_sender_would_tell() -> None:
    """A task that was sent is expected of beat; one that was received, of workers."""
    shop = Shop(app_of({**POLL, "mail": {"schedule": 600.0}}))
    shop.shoot("poll", counts=SENT)
    shop.shoot("poll", "mail", counts=RECEIVED)

    assert [task.name for task in shop.shoot(workers=())] == ["poll"]
    assert shop.run(60, workers=()) == {"poll"}


def test_a_name_that_may_be_folded_is_not_missed() -> None:
    """Beyond `max_task_names` it counts as `other`, once it was forgotten for a day."""
    shop = Shop(app_of(POLL))
    shop.shoot("poll")

    assert shop.run(60, OTHER) == set()
    assert shop.run(60, OTHER, "poll") == set()
    assert shop.run(14, OTHER, counts=TaskCounts(failed=1)) == {"poll"}


def test_what_is_folded_makes_none_known() -> None:
    """One that was never seen is not judged for it."""
    shop = Shop(app_of(POLL))

    assert [task.seen_at for task in shop.shoot(OTHER)] == [None]


def test_a_backlog_of_events_is_read_before_anybody_is_judged() -> None:
    """As after a restart with a durable queue: what is expected now is in it further back."""
    shop = Shop(app_of(POLL))
    shop.shoot("poll")
    shop.delay = HOUR

    assert shop.run(60) == set()
    shop.delay = 0.0
    assert shop.run(1) == {"poll"}


# -- the monitor and its clock ---------------------------------------------------------------------


def test_a_restart_accuses_nobody() -> None:
    """Without a state_dir it begins anew; the task must be seen again."""
    shop = Shop(app_of(POLL))
    shop.shoot("poll")
    shop.clock.advance(HOUR)
    shop.start_monitor()

    assert shop.run(60) == set()


def test_with_a_state_dir_a_restart_forgets_nobody(tmp_path: Path) -> None:
    """Its next time after the restart is the first that counts."""
    shop = Shop(app_of(NIGHTLY), now=at("2026-06-01 02:55"), state_dir=str(tmp_path))
    shop.run(5)
    shop.shoot("nightly")
    shop.clock.advance(9 * HOUR)
    shop.start_monitor()

    assert shop.run_until(at("2026-06-02 03:30")) == set()
    assert shop.run(1) == {"nightly"}


@pytest.mark.parametrize("step", [-30 * DAY, -HOUR, HOUR, 30 * DAY])
def test_a_clock_that_was_set_accuses_nobody_and_hides_nobody(step: float) -> None:
    """Its next time after that counts."""
    shop = Shop(app_of(POLL))
    shop.run(1_000, "poll")
    shop.shoot("poll", workers=())

    shop.clock.step_wall(step)
    assert shop.run(13) == set()
    assert shop.run(2) == {"poll"}


def test_a_clock_that_was_wrong_before_a_restart_hides_nobody(tmp_path: Path) -> None:
    """When it was seen last is not in the future."""
    shop = Shop(app_of(POLL), state_dir=str(tmp_path))
    shop.shoot("poll")
    shop.clock.step_wall(-30 * DAY)
    shop.start_monitor()

    assert shop.run(16) == {"poll"}


# -- crontabs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "day"),
    [("2026-03-28", "2026-03-29"), ("2026-10-24", "2026-10-25")],
    ids=["an hour is left out", "an hour comes twice"],
)
@pytest.mark.parametrize("clock", ["01:30", "02:30", "03:00"])
def test_a_nightly_task_is_expected_in_time_when_the_clocks_change(
    before: str, day: str, clock: str
) -> None:
    """At its time in Berlin, where 02:30 is 03:30 if there is none; not an hour off."""
    # Given
    hour, minute = clock.split(":")
    shop = Shop(
        app_of({"nightly": {"schedule": crontab(hour=hour, minute=minute)}}),
        now=at(f"{before} {clock}"),
    )
    shop.shoot("nightly")

    # When it does not come
    due = at(f"{day} {clock}")
    assert shop.run_until(due + 30 * MINUTE) == set()

    # Then
    assert shop.run(1) == {"nightly"}


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_an_hourly_task_that_comes_as_beat_sends_it_is_never_overdue(day: str) -> None:
    """Celery leaves the hour out that comes twice."""
    hourly = crontab(minute="0")
    shop = Shop(app_of({"hourly": {"schedule": hourly}}), now=at(f"{day} 00:00"))
    shop.shoot("hourly")

    for hour in (1, 2, 3, 4, 5, 6):
        assert shop.run_until(at(f"{day} 0{hour}:00")) == set()
        shop.shoot("hourly")


def test_office_hours_have_a_weekend() -> None:
    """The night is no silence."""
    office = crontab(minute="0,30", hour="8-17", day_of_week="mon-fri")
    shop = Shop(app_of({"office": {"schedule": office}}), now=at("2026-06-05 17:30"))
    shop.shoot("office")

    assert shop.run_until(at("2026-06-08 08:03")) == set()
    assert shop.run(1) == {"office"}


def test_a_beat_whose_clock_is_a_little_ahead_is_in_time() -> None:
    """Its task of 03:00 comes at 02:59 by our clock."""
    shop = Shop(app_of(NIGHTLY), now=at("2026-06-01 02:58"))
    shop.shoot("nightly")

    assert shop.run_until(at("2026-06-02 02:59")) == set()
