"""Alarms going off: when they should, and only then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.distribution import Distribution
from event_monitor.metrics import metrics_from
from event_monitor.provision.alarms import build_alarms
from event_monitor.provision.options import ProvisionOptions, QueueLimits, TaskLimits
from event_monitor.provision.quantities import TooMany
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    BrokerLink,
    FailingTask,
    MissingTasks,
    PublisherReport,
    Snapshot,
    TaskCounts,
    Window,
)
from event_monitor.survey import QueueDepth

from .cluster import (
    IDLE_WORKER,
    LOST,
    PLAIN,
    TIMES,
    Period,
    counted,
    period,
    surveyed,
    waiting,
)
from .evaluator import goes_off

OPTIONS = ProvisionOptions(
    tasks=(TaskLimits("shop.pay", p95=30.0, failures=TooMany(10.0)),),
    queues=(QueueLimits("celery", 5, 60),),
)


def on(
    periods: list[Period], settings: Settings = PLAIN, options: ProvisionOptions = OPTIONS
) -> set[str]:
    """Return the names of the alarms that are on, without the prefix."""
    return {
        alarm.name.removeprefix("celery-")
        for alarm in build_alarms(settings, options)
        if goes_off(alarm, periods)
    }


def test_a_quiet_night_sets_nothing_off() -> None:
    """No task runs, workers are there, the queue is empty."""
    assert on([period()] * 60) == set()


def test_a_few_failures_at_night_are_no_rate() -> None:
    """One task that fails alone is 100 percent of nothing much."""
    assert on([period(counts=counted(failed=1)), *[period()] * 9]) == set()


def test_a_bad_minute_is_no_alarm_of_the_cluster() -> None:
    """The good ones around it outweigh it; a limit of a single task is stricter."""
    good, bad = period(counts=counted(succeeded=100)), period(counts=counted(failed=100))
    assert on([*[good] * 30, bad]) == set()
    assert on([*[good] * 30, bad, good, good]) == set()


def test_a_dead_monitor_sets_off_its_own_alarm_only() -> None:
    """Without data nobody knows of failures, nor whether workers are there."""
    assert on([*[period()] * 10, *[()] * 10]) == {"monitor-dead"}


def test_a_gap_of_two_minutes_is_forgiven() -> None:
    """A send may be late, and a monitor may be restarted."""
    assert on([*[period()] * 5, (), ()]) == set()
    assert on([*[period()] * 5, (), (), period()]) == set()
    assert on([*[period()] * 5, *[()] * 5]) == {"monitor-dead"}


@pytest.mark.parametrize(
    ("periods", "expected"),
    [
        ([period(counts=counted(succeeded=20, retried=20))] * 9, {"retry-rate"}),
        (
            [period(counts=counted(succeeded=50, failed=50))] * 9,
            {"failure-rate", "failure-rate-shop.pay"},
        ),
        (
            [period(counts=TaskCounts(succeeded=97, failed=3, exhausted=3))] * 9,
            {"exhausted-rate"},
        ),
        ([period(counts=TaskCounts(redelivered=1))], {"tasks-redelivered"}),
        ([period(counts=TaskCounts(duplicated=1))], {"tasks-duplicated"}),
        ([period(missing=MissingTasks((("t", 1),)))], {"tasks-missing"}),
        ([period(failing=(FailingTask("t", 2),))] * 3, {"tasks-failing"}),
        (
            [period(survey=surveyed(worker=replace(IDLE_WORKER, active=4)))] * 15,
            {"saturated"},
        ),
        (
            [period(survey=surveyed(queue=QueueDepth("mail", ready=1, consumers=0)))] * 3,
            {"queues-unread"},
        ),
        ([period() * 2] * 3, {"second-monitor"}),
        ([period(counts=TIMES)] * 5, {"runtime-p95-shop.pay"}),
        ([period(workers=0)] * 5, {"too-few-workers"}),
        (
            [*[period()] * 2, period(losses=(LOST,)), *[period()] * 2],
            {"workers-lost", "tasks-orphaned"},
        ),
        ([period(survey=surveyed(stalled=("celery@0",)))] * 5, {"workers-stalled"}),
        ([period(survey=waiting(3, 100.0))] * 5, {"oldest-message-celery"}),
        ([period(survey=waiting(6, 1.0))] * 5, {"queue-length-celery"}),
        (
            [period(survey=waiting(20_000, 700.0))] * 5,
            {"oldest-message", "queue-length", "oldest-message-celery", "queue-length-celery"},
        ),
        (
            [period(survey=surveyed(worker=replace(IDLE_WORKER, reserved=2_000)))] * 5,
            {"tasks-reserved"},
        ),
        ([period(survey=replace(surveyed(), failures=1))] * 3, {"probe-failures"}),
        ([period(events_lost=(("celery@0", 3),))] * 5, {"events-lost"}),
        ([period(report=PublisherReport(unsent=9, unsent_seconds=901.0))] * 3, {"spool-age"}),
        ([period(report=PublisherReport(failures=1))] * 5, {"publish-failures"}),
        ([*[period()] * 4, period(report=PublisherReport(dropped=1))], {"data-dropped"}),
    ],
)
def test_trouble_sets_off_its_own_alarm_only(periods: list[Period], expected: set[str]) -> None:
    """Each alarm is about one thing."""
    assert on(periods) == expected


def test_a_task_that_runs_seldom_is_slow_by_one_run() -> None:
    """Once in half an hour, and it took longer than it may; no data ends it some windows later."""
    slow = period(counts=TaskCounts(succeeded=1, runtime=Distribution((31.0,), (1,))))
    minutes = [*[period()] * 40, slow, *[period()] * 28]

    assert on(minutes[:40]) == set()
    assert on(minutes[:41]) == on(minutes) == {"runtime-p95-shop.pay"}
    assert on([*minutes, *[period()] * 62]) == set()


def test_a_lost_broker_sets_off_its_alarm() -> None:
    """Snapshots go on, and say that the broker is away."""
    window = Window(0.0, 60.0)
    away = metrics_from(Snapshot(window=window, link=BrokerLink.AWAY), PLAIN)
    assert "broker-lost" in on([away] * 5)


def test_a_critical_queue_sets_off_the_alarm_over_all_of_them() -> None:
    """Whether its name is known or not."""
    limited = replace(PLAIN, queue_length_limits=(("cel*", (1.0, 3.0)),))
    critical = period(survey=waiting(4, 1.0), settings=limited)
    assert on([critical] * 5, limited, ProvisionOptions()) == {"queue-critical"}
