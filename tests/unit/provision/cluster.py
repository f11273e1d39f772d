"""Cluster: what the monitor publishes of a cluster in which not much happens but what is given.

Everything is recorded from ``metrics_from`` itself.
"""

from __future__ import annotations

from dataclasses import replace

from event_monitor.distribution import Distribution
from event_monitor.metrics import Metric, metrics_from
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    FailingTask,
    MissingTasks,
    OrphanedTask,
    PublisherReport,
    Snapshot,
    TaskCounts,
    Window,
    WorkerLoss,
    WorkerState,
    WorkerStatus,
)
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

PLAIN = Settings(dimensions=(("Environment", "prod"),))


#: What the monitor publishes in one period; empty if it publishes nothing.
Period = tuple[Metric, ...]

IDLE_QUEUE = QueueDepth("celery", ready=0, unacked=0, consumers=2)
IDLE_WORKER = WorkerAnswer(
    "celery@0",
    active=0,
    reserved=0,
    scheduled=0,
    revoked=0,
    pool_processes=4,
    memory_bytes=100 * 2**20,
    queues=("celery",),
)
LOST = WorkerLoss("celery@1", 90.0, (OrphanedTask("u", "shop.pay"),))
TIMES = TaskCounts(succeeded=20, runtime=Distribution((1.0, 45.0), (10, 10)))


def surveyed(
    *,
    queue: QueueDepth = IDLE_QUEUE,
    worker: WorkerAnswer = IDLE_WORKER,
    stalled: tuple[str, ...] = (),
) -> Survey:
    """Return what broker and workers answer: that there is nothing to do, unless given."""
    return Survey(queues=(queue,), workers=(worker,), stalled=stalled)


def waiting(ready: int, age: float) -> Survey:
    """Return a survey in which messages wait."""
    return surveyed(queue=replace(IDLE_QUEUE, ready=ready, oldest_seconds=age))


def counted(succeeded: int = 0, failed: int = 0, retried: int = 0) -> TaskCounts:
    """Return how tasks ended."""
    return TaskCounts(succeeded=succeeded, failed=failed, retried=retried)


def period(
    *,
    counts: TaskCounts | None = None,
    workers: int = 2,
    losses: tuple[WorkerLoss, ...] = (),
    survey: Survey | None = None,
    report: PublisherReport | None = None,
    events_lost: tuple[tuple[str, int], ...] = (),
    failing: tuple[FailingTask, ...] = (),
    missing: MissingTasks | None = None,
    settings: Settings = PLAIN,
) -> Period:
    """Return the metrics of one minute in which nothing happens but what is given."""
    online = tuple(
        WorkerStatus(f"celery@{number}", WorkerState.ONLINE, 0.0, active=0, load_average=0.1)
        for number in range(workers)
    )
    tasks = (("shop.pay", counts or TaskCounts()),)
    snapshot = Snapshot(
        window=Window(0.0, 60.0, tasks=tasks, events_lost=events_lost),
        workers=online,
        losses=losses,
        survey=survey or surveyed(),
        failing=failing,
        missing=missing,
        publisher=report or PublisherReport(),
    )
    return metrics_from(snapshot, settings)
