"""Metrics: a snapshot becomes what is published, within the budget, and nothing is invented."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.catalog import CATALOG
from event_monitor.distribution import Distribution
from event_monitor.metrics import Metric, metrics_from
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    BrokerLink,
    ExceptionCounts,
    OrphanedTask,
    PublisherReport,
    RunningTasks,
    ScheduledTask,
    Snapshot,
    TaskCounts,
    Window,
    WorkerLoss,
    WorkerState,
    WorkerStatus,
)
from event_monitor.survey import QueueDepth, Survey

from ...support.making import W1, W2

PLAIN = Settings()
WINDOW = Window(opened_at=1_000.0, closed_at=1_060.0)
QUIET = Snapshot(window=WINDOW)

ADD = TaskCounts(sent=3, started=3, succeeded=2, failed=1, runtime=Distribution((0.5, 2.0), (1, 1)))
MUL = TaskCounts(sent=1, succeeded=1, runtime=Distribution((2.0,), (1,)))
BUSY = Snapshot(window=replace(WINDOW, tasks=(("proj.add", ADD), ("proj.mul", MUL))))


def published(
    snapshot: Snapshot, settings: Settings = PLAIN
) -> dict[tuple[str, ...], float | Distribution]:
    """Name and dimension values → value."""
    metrics = metrics_from(snapshot, settings)
    series = {
        (metric.name, *(value for _, value in metric.dimensions)): metric.value
        for metric in metrics
    }
    assert len(series) == len(metrics), "a series was published twice"
    return series


def test_totals_are_published_with_zeros_when_nothing_happens() -> None:
    """An absent series would put its alarm into INSUFFICIENT_DATA."""
    quiet = published(QUIET)
    assert {key: value for key, value in quiet.items() if value} == {
        ("MonitorHeartbeat",): 1,
        ("BrokerConnected",): 1,
    }
    counts = {
        (metric.name,) for metric in CATALOG if metric.kind == "count" and "slo" not in metric.needs
    }
    unknown = {("TasksMissing",), ("EventsDropped",)}  # nobody was asked, nobody tells
    assert counts - unknown <= set(quiet)


def test_what_is_not_known_is_not_published() -> None:
    """No heartbeat reported a load, no send was timed, nothing ran: no zero is invented."""
    absent = {(metric.name,) for metric in CATALOG if metric.group != "queues"} - set(
        published(QUIET)
    )
    assert absent == {
        ("TaskFailedRuntime",),
        ("TaskTotalTime",),
        ("TaskRetries",),
        ("TasksMissing",),
        ("WorkersStalled",),
        ("TasksReserved",),
        ("TasksScheduled",),
        ("TasksRevokedHeld",),
        ("PoolProcesses",),
        ("WorkerUtilization",),
        ("WorkerMemory",),
        ("TaskRuntime",),
        ("TaskQueueTime",),
        ("TaskPrefetchTime",),
        ("EventDelay",),
        ("EventsDropped",),
        ("EventQueueLength",),
        ("MonitorStandby",),
        ("LoadAverage",),
        ("FlushDuration",),
        ("ScheduleOverdue",),
        ("SloGood",),
        ("SloTotal",),
        ("SloBudgetLeft",),
    }


@pytest.mark.parametrize(
    "snapshot",
    [replace(QUIET, link=BrokerLink.CONNECTING), replace(QUIET, has_heard_all=False)],
    ids=["it has not listened", "it has listened too shortly"],
)
def test_of_workers_nothing_is_published_before_the_monitor_can_know_them(
    snapshot: Snapshot,
) -> None:
    """A zero would be invented, and would fire the alarm at every restart."""
    series = published(snapshot)
    assert not [key for key in series if "Workers" in key[0] and key[0] != "WorkersLost"]
    assert "TasksRunning" not in {key[0] for key in series}
    assert (series["BrokerConnected",], series["TasksSucceeded",]) == (
        int(snapshot.link.is_connected),
        0,
    )


def test_totals_add_up_all_tasks() -> None:
    """CloudWatch does not roll up, so we do."""
    busy = published(BUSY)
    assert busy["TasksSent",] == 4
    assert busy["TasksSucceeded",] == 3
    assert busy["TaskRuntime",] == Distribution((0.5, 2.0), (1, 2))


def test_the_total_of_retries_leaves_out_the_task_that_waits_by_retrying() -> None:
    """Else each chord would raise the alarm on retries; by task they are told all the same."""
    window = replace(
        WINDOW,
        tasks=(
            ("proj.add", TaskCounts(retried=2)),
            ("celery.chord_unlock", TaskCounts(retried=50)),
        ),
    )
    series = published(Snapshot(window=window))
    assert series["TasksRetried",] == 2
    assert series["TasksRetried", "celery.chord_unlock"] == 50


def test_of_some_of_the_workers_nothing_is_told_that_only_all_of_them_know() -> None:
    """Which of them gets a task that was sent, and how many read a queue."""
    survey = Survey(queues=(QueueDepth("celery", ready=3),), workers=())
    seen = replace(BUSY, survey=replace(survey, ready_growth_per_second=1.0))
    gone = {key[0] for key in published(seen)} - {
        key[0] for key in published(seen, Settings(only_workers=("shop-*",)))
    }
    assert gone == {"TasksSent", "BacklogPerWorker", "ArrivalRate", "DrainRate"}


def test_before_the_workers_said_what_they_read_it_is_unknown_how_many_are_ours() -> None:
    """With a limit to queues; a zero would fire an alarm at every start."""
    of_queues = Settings(only_queues=("shop",))
    assert "WorkersOnline" not in {key[0] for key in published(QUIET, of_queues)}
    told = replace(QUIET, survey=Survey(workers=()))
    assert published(told, of_queues)["WorkersOnline",] == 0


def test_events_that_others_lose_count_in_total_and_have_no_series() -> None:
    """The loss meter sees all workers; only ours are named."""
    snapshot = Snapshot(
        window=replace(WINDOW, events_lost=((W1, 2), (W2, 3))),
        workers=(WorkerStatus(W1, WorkerState.ONLINE, silent_seconds=0.0),),
    )
    limited = Settings(only_workers=(W1,), by_worker=("EventsLost",))
    lost = {key: value for key, value in published(snapshot, limited).items() if "Lost" in key[0]}
    assert lost == {("WorkersLost",): 0, ("EventsLost",): 5, ("EventsLost", W1): 2}


def test_only_what_pays_for_itself_is_published_per_task() -> None:
    """The rest is totals, until asked for."""
    split = {key: value for key, value in published(BUSY).items() if len(key) == 2}
    assert split == {
        ("TasksSucceeded", "proj.add"): 2,
        ("TasksSucceeded", "proj.mul"): 1,
        ("TasksFailed", "proj.add"): 1,
        ("TasksFailed", "proj.mul"): 0,
        ("TasksRetried", "proj.add"): 0,
        ("TasksRetried", "proj.mul"): 0,
        ("TaskRuntime", "proj.add"): Distribution((0.5, 2.0), (1, 1)),
        ("TaskRuntime", "proj.mul"): Distribution((2.0,), (1,)),
    }


def test_the_settings_choose_the_metrics_per_task_and_those_left_out() -> None:
    """by_task and without."""
    chosen = published(
        BUSY, Settings(by_task=("TasksSent",), without=("TasksFailed", "CustomEvents"))
    )
    assert {key for key in chosen if len(key) == 2} == {
        ("TasksSent", "proj.add"),
        ("TasksSent", "proj.mul"),
    }
    assert ("TasksFailed",) not in chosen


def test_static_dimensions_are_on_every_metric_and_time_is_the_windows_start() -> None:
    """A late send lands in the minute where it belongs."""
    metrics = metrics_from(BUSY, Settings(dimensions=(("Environment", "prod"),)))
    assert {metric.dimensions[0] for metric in metrics} == {("Environment", "prod")}
    assert {metric.timestamp for metric in metrics} == {1_000.0}
    assert metrics[0] == Metric("TasksSent", "Count", 1_000.0, 4, (("Environment", "prod"),))


def test_a_clock_stepped_back_does_not_date_metrics_in_the_future() -> None:
    """CloudWatch refuses what is more than two hours ahead."""
    stepped = Snapshot(window=Window(opened_at=5_000.0, closed_at=1_400.0))
    assert {metric.timestamp for metric in metrics_from(stepped, PLAIN)} == {1_400.0}


def test_groups_publish_several_names_as_one() -> None:
    """Counts and times are added up."""
    grouped = published(BUSY, Settings(groups=(("maths", ("proj.*",)),)))
    assert grouped["TasksSucceeded", "maths"] == 3
    assert grouped["TaskRuntime", "maths"] == Distribution((0.5, 2.0), (1, 2))
    assert ("TasksSucceeded", "proj.add") not in grouped


def test_excluded_tasks_have_no_series_and_still_count_in_the_totals() -> None:
    """The total is the truth whatever is hidden."""
    some = published(BUSY, Settings(exclude_tasks=("proj.mul",)))
    assert some["TasksSucceeded",] == 3
    assert ("TasksSucceeded", "proj.mul") not in some


def test_the_budget_folds_the_latest_names_into_other_and_no_count_is_lost() -> None:
    """Series already published keep their place."""
    tasks = tuple((f"t{n}", TaskCounts(succeeded=1, failed=n % 2)) for n in range(500))
    snapshot = Snapshot(window=replace(WINDOW, tasks=tasks))
    series = published(snapshot, Settings(series_budget=200))

    def per_task(metric: str) -> dict[str, float]:
        return {
            key[1]: value
            for key, value in series.items()
            if key[0] == metric and len(key) == 2 and not isinstance(value, Distribution)
        }

    names = list(per_task("TasksSucceeded"))

    assert len(series) <= 200
    assert names[:3] == ["t0", "t1", "t2"]
    assert names[-1] == "other"
    for metric, total in (("TasksSucceeded", 500), ("TasksFailed", 250)):
        assert series[metric,] == total
        assert sum(per_task(metric).values()) == total
    assert series["SeriesFolded",] == 500 - (len(names) - 1)


def test_workers_are_counted_and_their_gauges_need_opting_in() -> None:
    """Each hostname is a billed metric."""
    snapshot = Snapshot(
        window=replace(WINDOW, by_worker=((W1, ADD),)),
        workers=(
            WorkerStatus(W1, WorkerState.ONLINE, 1.0, active=2, load_average=0.5),
            WorkerStatus(W2, WorkerState.LOST, 90.0, active=9, load_average=9.0),
            WorkerStatus("celery@three", WorkerState.OFFLINE, 5.0),
        ),
        losses=(WorkerLoss(W2, 90.0, (OrphanedTask("u", "proj.add"),)),),
    )
    series = published(snapshot)
    expected = {
        "WorkersOnline": 1,
        "WorkersOffline": 1,
        "WorkersLost": 1,
        "TasksOrphaned": 1,
        "TasksActive": 2,
        "LoadAverage": 0.5,
    }
    assert {name: series[name,] for name in expected} == expected
    assert not [key for key in series if W1 in key]

    asked = published(
        snapshot, Settings(by_worker=("WorkersLost", "TasksActive", "TasksSucceeded"))
    )
    assert {key: value for key, value in asked.items() if len(key) == 2} == {
        ("WorkersLost", W1): 0,
        ("WorkersLost", W2): 1,
        ("WorkersLost", "celery@three"): 0,
        ("TasksActive", W1): 2,
        ("TasksSucceeded", W1): 2,
    }


def test_a_goodbye_with_unfinished_tasks_is_orphans_but_no_loss() -> None:
    """A cold shutdown is not a death."""
    left = WorkerLoss(W1, 70.0, (OrphanedTask("u", "t"),), said_goodbye=True)
    series = published(Snapshot(window=WINDOW, losses=(left,)))
    assert (series["WorkersLost",], series["TasksOrphaned",]) == (0, 1)


def test_running_tasks_in_total_and_per_task_when_asked() -> None:
    """Names that run but are excluded stay in the total."""
    snapshot = replace(
        BUSY, running=(RunningTasks("proj.add", 2, 40.0), RunningTasks("hidden", 1, 90.0))
    )
    settings = Settings(by_task=("TasksRunning", "OldestRunningTaskAge"), exclude_tasks=("hidden",))
    series = published(snapshot, settings)
    assert {key: value for key, value in series.items() if "Running" in key[0]} == {
        ("TasksRunning",): 3,
        ("OldestRunningTaskAge",): 90.0,
        ("TasksRunning", "proj.add"): 2,
        ("OldestRunningTaskAge", "proj.add"): 40.0,
        ("TasksRunning", "proj.mul"): 0,
        ("OldestRunningTaskAge", "proj.mul"): 0.0,
    }


def test_exceptions_and_custom_events_have_series_of_their_own() -> None:
    """ExceptionType only when asked, of all tasks and queues together."""
    raised = (
        ExceptionCounts("a", "celery", "ValueError", failed=2),
        ExceptionCounts("b", "celery", "ValueError", failed=1, retried=4),
        ExceptionCounts("b", "mail", "Timeout", retried=3),
    )
    snapshot = Snapshot(window=replace(WINDOW, exceptions=raised, custom_events=(("paid", 5),)))
    assert published(snapshot)["CustomEvents", "paid"] == 5
    assert ("TasksFailed", "ValueError") not in published(snapshot)
    found = published(snapshot, Settings(by_exception=True))
    assert {key: value for key, value in found.items() if key[-1] in ("ValueError", "Timeout")} == {
        ("TasksFailed", "ValueError"): 3,
        ("TasksRetried", "ValueError"): 4,
        ("TasksRetried", "Timeout"): 3,
    }


def test_exceptions_are_published_per_task_when_asked() -> None:
    """In one series with both dimensions, within a quarter of the budget; the rest is folded."""
    raised = tuple(
        ExceptionCounts("t", queue, f"Error{number}", failed=1)
        for queue in ("celery", "mail")
        for number in range(20)
    )
    snapshot = Snapshot(window=replace(WINDOW, exceptions=raised))
    metrics = metrics_from(snapshot, Settings(by_task_and_exception=True, series_budget=100))
    pairs = [metric for metric in metrics if len(metric.dimensions) == 2]
    assert [metric.dimensions for metric in pairs] == [
        (("TaskName", "t"), ("ExceptionType", f"Error{number}")) for number in range(12)
    ]
    assert {(metric.name, metric.value) for metric in pairs} == {("TasksFailed", 2)}
    assert ("SeriesFolded", 8) in {(metric.name, metric.value) for metric in metrics}


def test_counts_and_times_are_published_per_queue_when_asked() -> None:
    """Zeros included for a queue that the broker knows; those of single workers are one."""
    counts = TaskCounts(succeeded=2, runtime=Distribution((1.0,), (2,)))
    window = replace(WINDOW, by_queue=(("mail", counts), ("unknown", TaskCounts(succeeded=1))))
    survey = Survey(queues=(QueueDepth("mail", 0, 0, 1), QueueDepth("idle", 0, 0, 1)))
    settings = Settings(by_queue=("TasksSucceeded", "TaskRuntime"))
    found = published(Snapshot(window=window, survey=survey), settings)
    queues = ("mail", "idle", "unknown")
    assert {key: value for key, value in found.items() if key[-1] in queues} == {
        ("TasksSucceeded", "mail"): 2,
        ("TaskRuntime", "mail"): counts.runtime,
        ("TasksSucceeded", "idle"): 0,
        ("TasksSucceeded", "unknown"): 1,
    }


def test_the_publisher_reports_on_itself() -> None:
    """Every loss has a number."""
    report = PublisherReport(failures=3, ambiguous=1, dropped=7, flush_seconds=0.25)
    series = published(replace(QUIET, publisher=report))
    assert [
        series[name,]
        for name in ("PublishFailures", "PublishAmbiguous", "DatumsDropped", "FlushDuration")
    ] == [3, 1, 7, 0.25]


LATE = ScheduledTask("shop.nightly", seen_at=100.0, due_at=500.0, overdue_seconds=90.0)
IN_TIME = ScheduledTask("shop.poll", seen_at=900.0, due_at=1_100.0)
UNSEEN = ScheduledTask("shop.new", seen_at=None, due_at=500.0, overdue_seconds=300.0)


def test_the_total_of_schedules_is_the_worst_and_one_that_was_never_seen_is_none() -> None:
    """0 where all are in time; by name only for who asks."""
    snapshot = replace(QUIET, scheduled=(IN_TIME, LATE, UNSEEN))
    asked = published(snapshot, Settings(by_schedule=True))

    assert published(snapshot)[("ScheduleOverdue",)] == 90.0
    assert published(replace(QUIET, scheduled=(IN_TIME,)))[("ScheduleOverdue",)] == 0.0
    assert ("ScheduleOverdue",) not in published(replace(QUIET, scheduled=(UNSEEN,)))
    assert ("ScheduleOverdue", "shop.nightly") not in published(snapshot)
    assert {key: value for key, value in asked.items() if key[0] == "ScheduleOverdue"} == {
        ("ScheduleOverdue",): 90.0,
        ("ScheduleOverdue", "shop.nightly"): 90.0,
        ("ScheduleOverdue", "shop.poll"): 0.0,
    }


def test_schedules_get_a_quarter_of_the_budget() -> None:
    """The others are in the total, and counted as folded."""
    many = tuple(replace(IN_TIME, name=f"t{number}") for number in range(30))
    found = published(replace(QUIET, scheduled=many), Settings(by_schedule=True, series_budget=100))

    assert sum(key[0] == "ScheduleOverdue" for key in found) == 1 + 25
    assert found[("SeriesFolded",)] == 5
