"""Catalog: what stands on a metric's entry is what ``metrics_from`` does."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import get_args

from event_monitor.catalog import CATALOG, DIMENSIONS, SPLIT_SETTINGS, MetricSpec, Source, spec
from event_monitor.distribution import Distribution
from event_monitor.metrics import metrics_from
from event_monitor.metrics.splits import is_split, splits_of
from event_monitor.metrics.totals import totals_of
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    BrokerLink,
    ExceptionCounts,
    MissingTasks,
    ObjectiveStatus,
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
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

from ...support.making import W1

TIMES = Distribution((1.0,), (1,))
COUNTS = TaskCounts(
    runtime=TIMES,
    queue_time=TIMES,
    prefetch_time=TIMES,
    failed_runtime=TIMES,
    total_time=TIMES,
    retries=TIMES,
)
#: A snapshot in which everything is known.
FULL = Snapshot(
    window=Window(
        opened_at=1_000.0,
        closed_at=1_060.0,
        tasks=(("t", COUNTS),),
        by_worker=((W1, COUNTS),),
        by_queue=(("celery", COUNTS),),
        exceptions=(ExceptionCounts("t", "celery", "ValueError", failed=1, retried=1),),
        custom_events=(("paid", 1),),
        events_lost=((W1, 1),),
        events_dropped=0,
        event_delay=TIMES,
    ),
    workers=(WorkerStatus(W1, WorkerState.ONLINE, 0.0, active=1, load_average=0.1),),
    losses=(WorkerLoss(W1, 90.0),),
    running=(RunningTasks("t", 1, 1.0),),
    scheduled=(ScheduledTask("t", seen_at=1_000.0, due_at=1_060.0),),
    objectives=(ObjectiveStatus("t succeed", good=1, total=2, budget_left=50.0),),
    survey=Survey(
        queues=(QueueDepth("celery", 1, 1, 1, 1.0, 1.0, 2.0),),
        workers=(WorkerAnswer(W1, 1, 1, 1, 1, 4, 1, queues=("celery",)),),
        stalled=(),
        event_queue_length=0,
    ),
    missing=MissingTasks(),
    publisher=PublisherReport(flush_seconds=0.1),
    standbys=1,
)
EVERYTHING = Settings(
    standby=True,
    queue_length_limits=(("*", (1, 2)),),
    by_task=tuple(metric.name for metric in CATALOG if "TaskName" in metric.splits),
    by_queue=tuple(metric.name for metric in CATALOG if "QueueName" in metric.splits),
    by_worker=tuple(metric.name for metric in CATALOG if "WorkerName" in metric.splits),
    by_exception=True,
    by_task_and_exception=True,
    by_schedule=True,
    slo=("t: 99 % succeed",),
)
#: Computed with the other counts of a worker, but TasksSent has no WorkerName: producers send.
NOT_OF_A_WORKER: set[Source] = {"sent"}


def names(snapshot: Snapshot, settings: Settings = EVERYTHING) -> set[str]:
    """Names of the totals that are published."""
    return {metric.name for metric in metrics_from(snapshot, settings) if not metric.dimensions}


def test_names_and_sources_are_unique() -> None:
    """One value, one metric."""
    assert len({metric.name for metric in CATALOG}) == len(CATALOG)
    assert len({metric.source for metric in CATALOG}) == len(CATALOG)
    assert [spec(metric.name) for metric in CATALOG] == list(CATALOG)


def test_every_source_the_catalog_names_can_be_published() -> None:
    """No metric of the catalog is a promise nobody keeps."""
    assert names(FULL) == {metric.name for metric in CATALOG}


def test_every_source_is_computed_and_read() -> None:
    """No value is computed that no metric reads, and no source is named that is not computed."""
    sources = {metric.source for metric in CATALOG}
    assert set(get_args(Source)) == sources
    assert set(totals_of(FULL, EVERYTHING, series_folded=0)) == sources


def test_every_split_of_the_catalog_is_computed_and_no_other() -> None:
    """What can be asked for by a dimension is there, and nothing that cannot."""
    splits = splits_of(FULL, EVERYTHING, taken=len(CATALOG))
    assert tuple(splits) == tuple(DIMENSIONS)
    for dimension, split in splits.items():
        ((_, values),) = split.values.items()
        unread = NOT_OF_A_WORKER if dimension == "WorkerName" else set()
        assert set(values) - unread == {
            metric.source for metric in CATALOG if dimension in metric.splits
        }


def test_every_split_of_the_catalog_is_published_when_asked_for() -> None:
    """Each is chosen by a field of the settings."""
    published = {
        (metric.name, metric.dimensions[0][0])
        for metric in metrics_from(FULL, EVERYTHING)
        if len(metric.dimensions) == 1
    }
    assert published == {(metric.name, split) for metric in CATALOG for split in metric.splits}
    assert set(SPLIT_SETTINGS) <= set(DIMENSIONS)
    assert set(SPLIT_SETTINGS.values()) <= {field.name for field in fields(Settings)}


def test_a_split_without_a_setting_is_always_published() -> None:
    """Nobody could ask for it."""
    nothing = Settings(by_task=(), by_queue=(), by_worker=())

    def always(metric: MetricSpec) -> tuple[str, ...]:
        return tuple(split for split in DIMENSIONS if is_split(metric, split, nothing))

    assert {metric.name: always(metric) for metric in CATALOG if always(metric)} == {
        "CustomEvents": ("EventType",),
        "SloGood": ("SloName",),
        "SloTotal": ("SloName",),
        "SloBudgetLeft": ("SloName",),
    }
    for metric in CATALOG:
        assert set(metric.splits) - set(SPLIT_SETTINGS) == set(metric.always_by)


def test_the_default_of_a_split_is_one_the_metric_has() -> None:
    """``by_task`` and ``by_queue`` are the defaults of the settings of the same names."""
    for metric in CATALOG:
        assert not metric.by_task or "TaskName" in metric.splits
        assert not metric.by_queue or "QueueName" in metric.splits


def test_what_needs_listening_is_unknown_before() -> None:
    """A zero would be invented; all other totals are published."""
    needy = {metric.name for metric in CATALOG if metric.needs_listening}
    assert needy == {
        "TasksRunning",
        "OldestRunningTaskAge",
        "TasksDraining",
        "TasksInFlight",
        "WorkersOnline",
        "WorkersOffline",
        "TasksActive",
    }
    for link in BrokerLink:
        unknown = set() if link.has_listened else needy
        assert names(FULL) - names(replace(FULL, link=link)) == unknown


def test_what_needs_limits_is_unknown_without() -> None:
    """Of ``needs_one_of`` one is enough."""
    needy = {metric.name for metric in CATALOG if metric.needs_one_of}
    assert needy == {"QueueStatus"}
    without = replace(EVERYTHING, queue_length_limits=())
    assert names(FULL) - names(FULL, without) == needy
    assert names(FULL, replace(without, queue_age_limits=(("*", (1, 2)),))) == names(FULL)
    for metric in CATALOG:
        assert set(metric.needs_one_of) <= {field.name for field in fields(Settings)}
