"""Backlog: what waits, and what is late or runs too long."""

from __future__ import annotations

from ...settings import Settings
from ..definition import AlarmDefinition
from ..options import ProvisionOptions
from ..series import has_queue_limits

__all__ = ["BACKLOG_ALARMS"]

_MEBIBYTE = 2**20


def _has_queue_limits(settings: Settings, _options: ProvisionOptions) -> bool:
    """Return whether QueueStatus is known."""
    return has_queue_limits(settings)


def _tell_memory(_settings: Settings, options: ProvisionOptions) -> bool:
    """Return whether workers tell what they use with their pool; asked, they tell only a part."""
    return bool(options.event_queue)


def _may_have_schedules(_settings: Settings, options: ProvisionOptions) -> bool:
    """Return whether periodic tasks are expected, or it cannot be known without the app."""
    return options.has_schedules is not False


BACKLOG_ALARMS: tuple[AlarmDefinition[ProvisionOptions], ...] = (
    AlarmDefinition(
        key="workers-stalled",
        description="A worker sends heartbeats but starts nothing, while tasks wait in its queues.",
        metrics=("WorkersStalled",),
        comparison=">",
        threshold=0,
        pages=True,
    ),
    AlarmDefinition(
        key="oldest-message",
        description=(
            "A message has waited in some queue for more than {limits.max_age:.10g} seconds."
        ),
        metrics=("OldestMessageAge",),
        comparison=">",
        threshold=lambda limits: limits.max_age or None,
        pages=True,
    ),
    AlarmDefinition(
        key="queue-length",
        description="More than {limits.max_length:.10g} messages wait in all queues together.",
        metrics=("QueueLength",),
        comparison=">",
        threshold=lambda limits: limits.max_length or None,
        lasting=300,  # a burst that drains is no trouble
        pages=True,
    ),
    AlarmDefinition(
        key="queue-critical",
        description="Some queue is critical by queue_length_limits or queue_age_limits.",
        metrics=("QueueStatus",),
        comparison=">=",
        threshold=2,
        applies=_has_queue_limits,
        pages=True,
    ),
    AlarmDefinition(
        key="queues-unread",
        description="Messages wait in a queue that no worker reads.",
        metrics=("QueuesUnread",),
        comparison=">",
        threshold=0,
    ),
    AlarmDefinition(
        key="oldest-running",
        description="A task has been running for more than {limits.max_running:.10g} seconds.",
        metrics=("OldestRunningTaskAge",),
        comparison=">",
        threshold=lambda limits: limits.max_running or None,
    ),
    AlarmDefinition(
        key="schedule-overdue",
        description=(
            "A periodic task stays away though its time and a grace are over: the monitor's log "
            "names it. Is `celery beat` running? It is over when the task comes."
        ),
        metrics=("ScheduleOverdue",),
        comparison=">",
        threshold=0,
        applies=_may_have_schedules,
    ),
    AlarmDefinition(
        key="saturated",
        description=(
            "{limits.max_utilization:.10g} % or more of the pool processes are busy all the time: "
            "what comes now has to wait."
        ),
        metrics=("WorkerUtilization",),
        comparison=">=",
        threshold=lambda limits: limits.max_utilization or None,
        lasting=900,
        within=900,
    ),
    AlarmDefinition(
        key="tasks-reserved",
        description=(
            "Workers hold more than {limits.max_reserved:.10g} tasks they have not started: they "
            "are overloaded, or worker_prefetch_multiplier is too high."
        ),
        metrics=("TasksReserved",),
        comparison=">",
        threshold=lambda limits: limits.max_reserved or None,
    ),
    AlarmDefinition(
        key="worker-memory",
        description=(
            "A worker and its pool have more than {limits.max_memory:.10g} MiB of resident memory."
        ),
        metrics=("WorkerMemory",),
        comparison=">",
        threshold=lambda limits: limits.max_memory * _MEBIBYTE or None,
        applies=_tell_memory,
    ),
)
