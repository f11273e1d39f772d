"""Service levels: their alarms over a month of minutes, as it comes: who is told, and when."""

from __future__ import annotations

from functools import lru_cache

from event_monitor.metrics import metrics_from
from event_monitor.provision.alarms import build_alarms
from event_monitor.provision.options import ProvisionOptions
from event_monitor.settings import Settings
from event_monitor.snapshot import ObjectiveStatus, Snapshot, Window

from .cluster import Period
from .evaluator import Notification, notifications, timeline

TOPIC, PAGE = "arn:aws:sns:eu-west-1:123456789012:topic", "arn:aws:sns:eu-west-1:123456789012:page"
OPTIONS = ProvisionOptions(topics=(TOPIC,), pages=(PAGE,))
SETTINGS = Settings.load(environ={}, flags={"slo": "pay: 99 % succeed"})
HOUR, DAY = 60, 24 * 60
FAST, SLOW = "celery-slo-fast-pay succeed", "celery-slo-slow-pay succeed"


@lru_cache
def minute(good: int, total: int) -> Period:
    """Return what is published of a minute with so many good ones of all."""
    status = ObjectiveStatus("pay succeed", good, total, 100.0)
    metrics = metrics_from(Snapshot(window=Window(0.0, 60.0), objectives=(status,)), SETTINGS)
    return tuple(metric for metric in metrics if metric.name in ("SloGood", "SloTotal"))


def month(*bad: tuple[int, int, int], every: int = 99, total: int = 100) -> list[Period]:
    """Return a month in which ``every`` go well, but for some: from when, how long, how many."""
    minutes = [minute(every, total)] * (30 * DAY)
    for start, length, good in bad:
        minutes[start : start + length] = [minute(good, total)] * length
    return minutes


def told(arn: str, minutes: list[Period]) -> list[Notification]:
    alarms = [alarm for alarm in build_alarms(SETTINGS, OPTIONS) if "slo-" in alarm.name]
    assert [alarm.name for alarm in alarms] == [FAST, SLOW]
    return notifications(arn, alarms, minutes)


def test_a_month_in_which_the_level_is_kept_tells_nobody() -> None:
    """One in a hundred fails all the time, and half of all for five minutes each day."""
    blips = [(day * DAY + 600, 5, 50) for day in range(30)]
    assert told(TOPIC, month(*blips)) == []


def test_an_outage_pages_within_ten_minutes_and_the_page_ends() -> None:
    """When nothing succeeds a fiftieth of the budget is gone in nine minutes."""
    minutes = month((10 * DAY, 30, 0))
    ((at, name),) = told(PAGE, minutes)
    assert name == FAST
    assert 10 * DAY < at <= 10 * DAY + 10
    (fast,) = (alarm for alarm in build_alarms(SETTINGS, OPTIONS) if alarm.name == FAST)
    assert timeline(fast, minutes)[10 * DAY + 30 + HOUR] == "OK"


def test_a_slow_leak_informs_the_same_day_and_pages_nobody() -> None:
    """Eight in a hundred fail from the tenth day on: the budget would last four days."""
    minutes = month((10 * DAY, 5 * DAY, 92))
    assert told(PAGE, minutes) == []
    ((at, name),) = told(TOPIC, minutes)
    assert name == SLOW
    assert 10 * DAY < at <= 10 * DAY + 6 * HOUR


def test_a_single_failure_of_few_tasks_tells_nobody() -> None:
    """One task an hour, of which one in the month fails: no share of one means anything."""
    minutes = [minute(1, 1) if place % HOUR == 0 else minute(0, 0) for place in range(30 * DAY)]
    minutes[10 * DAY] = minute(0, 1)
    assert told(TOPIC, minutes) == []


def test_few_tasks_that_all_fail_are_told() -> None:
    """One every ten minutes: in an hour two of six are enough."""
    minutes = [minute(1, 1) if place % 10 == 0 else minute(0, 0) for place in range(12 * DAY)]
    for place in range(10 * DAY, 12 * DAY, 10):
        minutes[place] = minute(0, 1)
    ((at, name),) = told(PAGE, minutes)
    assert name == FAST
    assert 10 * DAY < at <= 10 * DAY + 11


def test_a_level_that_allows_much_still_has_its_alarms() -> None:
    """Fourteen times half of all is more than all."""
    settings = Settings.load(environ={}, flags={"slo": "pay: 50 % start in 5 s"})
    alarms = [alarm for alarm in build_alarms(settings, OPTIONS) if "slo-" in alarm.name]
    assert [alarm.threshold for alarm in alarms] == [90.0, 90.0]


def test_the_descriptions_say_what_was_promised() -> None:
    """And what to do."""
    fast, slow = (alarm for alarm in build_alarms(SETTINGS, OPTIONS) if "slo-" in alarm.name)
    assert "`pay: 99 % succeed`" in fast.description
    assert "in 1 hour" in fast.description
    assert "in 6 hours" in slow.description
    assert (fast.threshold, slow.threshold) == (14.4, 6.0)
    assert (fast.pages, slow.pages) == (True, False)
