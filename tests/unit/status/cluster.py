"""Cluster: workers, queues and tasks that the reports of these tests are made of."""

from __future__ import annotations

from typing import Any

from event_monitor.settings import Settings
from event_monitor.snapshot import TaskInFlight
from event_monitor.status.report import Report, Verdict, judge
from event_monitor.survey import QueueDepth, WorkerAnswer

SETTINGS = Settings(queue_length_limits=(("celery", (100.0, 1_000.0)),))
W1 = WorkerAnswer(
    "w1@host",
    active=1,
    reserved=4,
    scheduled=0,
    revoked=0,
    pool_processes=2,
    memory_bytes=58_000_000,
    processed=(("proj.a", 1_200), ("proj.b", 34)),
    queues=("celery",),
)
SILENT = WorkerAnswer("w2@" + "very-long-host-name." * 5 + "example", active=2)
RUNNING = (
    TaskInFlight("u1", "proj.short", "w1@host", running_since=990.0),
    TaskInFlight("u2", "proj.long", "w1@host", running_since=275.0),
    TaskInFlight("u3", "proj.unknown", "w1@host"),
)


def queue(
    ready: int | None = 12, *, unacked: int | None = None, oldest_seconds: float | None = None
) -> QueueDepth:
    """Return the queue that has limits."""
    return QueueDepth("celery", ready=ready, unacked=unacked, oldest_seconds=oldest_seconds)


def report(
    *,
    workers: tuple[WorkerAnswer, ...] | None = (W1,),
    queues: tuple[QueueDepth, ...] | None = (queue(),),
    running: tuple[TaskInFlight, ...] = (),
    unknown: tuple[str, ...] = (),
    unreadable: str = "",
    **more: Any,
) -> Report:
    """Return a report on one worker and one quiet queue, unless said otherwise."""
    return Report(
        at=1_000.0,
        workers=workers,
        queues=queues,
        running=running,
        unknown=unknown,
        unreadable=unreadable,
        **more,
    )


def judged(found: Report) -> Verdict:
    """Return the verdict with these settings, where one worker has to answer."""
    return judge(found, SETTINGS, min_workers=1)
