"""Alarm definitions: one row per alarm, before names, periods and dimensions. Pure.

Those that say that work stops page; what lasts long once it is on, or says nothing of the work
itself, only informs: a page for it would be the one that nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable

from ..settings import Settings
from ..settings.objectives import Objective
from .definition import AlarmDefinition, NoData
from .options import ProvisionOptions, QueueLimits, TaskLimits
from .series import has_queue_limits

__all__ = ["CLUSTER_ALARMS", "OBJECTIVE_ALARMS", "QUEUE_ALARMS", "TASK_ALARMS"]

_NO_DATA_FROM_MONITOR = NoData(
    treated_as="breaching",
    reason="No data is exactly what it is for.",
)

# Percentages are 0 while too few fail for one to mean anything.
_FAILURE_PERCENT = "IF(m0>={min_failures}, 100*m0/(m0+m1), 0)"
_RETRY_PERCENT = "IF(m0>={min_failures}, 100*m0/(m0+m1+m2), 0)"
_FAILED = ("TasksFailed", "TasksSucceeded")
# In total TasksRetried is without celery.chord_unlock, see there (`metrics/totals.py`).
_RETRIED = ("TasksRetried", "TasksFailed", "TasksSucceeded")

# A rate is that of three minutes, three times: a small shop has some failures in these, and a
# failing minute of a busy one has been outweighed by then. A single task may run seldom.
_RATE_PERIOD, _RATE_LASTING = 180, 540
_TASK_RATE_PERIOD = 1_800

# How many times faster than in 30 days an error budget is spent: at the first, a fiftieth of it is
# gone in an hour, at the second a twentieth in six. No share of failures is above all of them.
_FAST_BURN, _FAST_BURN_PERIOD = 14.4, 3_600
_SLOW_BURN, _SLOW_BURN_PERIOD = 6.0, 6 * 3_600
_HIGHEST_PERCENT = 90.0
_BURN_PERCENT = "IF(m1-m0>={min_failures}, 100*(m1-m0)/m1, 0)"

_AT_ONCE = 60  # what is counted in one minute only


def _has_no_durable_queue(settings: Settings, _options: ProvisionOptions) -> bool:
    """Return whether shots come at their interval only."""
    return not settings.durable_queue


def _has_queue_limits(settings: Settings, _options: ProvisionOptions) -> bool:
    """Return whether QueueStatus is known."""
    return has_queue_limits(settings)


def _may_have_schedules(_settings: Settings, options: ProvisionOptions) -> bool:
    """Return whether periodic tasks are expected, or it cannot be known without the app."""
    return options.has_schedules is not False


#: The alarms of the whole cluster, the most urgent first. A limit of 0 leaves its alarm out.
CLUSTER_ALARMS: tuple[AlarmDefinition[ProvisionOptions], ...] = (
    AlarmDefinition(
        key="monitor-dead",
        description=(
            "The monitor publishes nothing: it is dead, cut off from CloudWatch, "
            "or not permitted to."
        ),
        metrics=("MonitorHeartbeat",),
        comparison="<",
        threshold=1,
        within=180,
        fewest_periods=2,  # a send may be late
        no_data=_NO_DATA_FROM_MONITOR,
        pages=True,
        next_step="healthcheck",
    ),
    AlarmDefinition(
        key="broker-lost",
        description=(
            "The monitor is not connected to the broker; "
            "what happens meanwhile may never be counted."
        ),
        metrics=("BrokerConnected",),
        comparison="<",
        threshold=1,
        pages=True,
        next_step="check",
    ),
    AlarmDefinition(
        key="too-few-workers",
        description="Fewer than {limits.workers_at_least} workers are online.",
        metrics=("WorkersOnline",),
        comparison="<",
        threshold=lambda limits: limits.workers_at_least or None,
        pages=True,
    ),
    AlarmDefinition(
        key="failure-rate",
        description=(
            "More than {limits.max_failures.number:g} % of the tasks that end in {period} fail "
            "(checked only if at least {min_failures} do)."
        ),
        metrics=_FAILED,
        expression=_FAILURE_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.max_failures.percent,
        lasting=_RATE_LASTING,
        within=_RATE_LASTING,
        period=_RATE_PERIOD,
        pages=True,
    ),
    AlarmDefinition(
        key="failures",
        description="{limits.max_failures.number:.10g} tasks or more fail within {period}.",
        metrics=("TasksFailed",),
        comparison=">=",
        threshold=lambda limits: limits.max_failures.count,
        period=lambda limits: limits.max_failures.seconds,
        pages=True,
    ),
    AlarmDefinition(
        key="tasks-failing",
        description=(
            "Of some task every run fails, at least two by now: the monitor's log names it. "
            "It is over when the task succeeds, or has not run for an hour."
        ),
        metrics=("TaskNamesFailing",),
        comparison=">",
        threshold=0,
        pages=True,
    ),
    AlarmDefinition(
        key="retry-rate",
        description=(
            "More than {limits.max_retries.number:g} % of the runs that end in {period} end in a "
            "retry (checked only if at least {min_failures} do)."
        ),
        metrics=_RETRIED,
        expression=_RETRY_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.max_retries.percent,
        lasting=_RATE_LASTING,
        within=_RATE_LASTING,
        period=_RATE_PERIOD,
    ),
    AlarmDefinition(
        key="retries",
        description="{limits.max_retries.number:.10g} runs or more end in a retry within {period}.",
        metrics=("TasksRetried",),
        comparison=">=",
        threshold=lambda limits: limits.max_retries.count,
        period=lambda limits: limits.max_retries.seconds,
    ),
    AlarmDefinition(
        key="exhausted-rate",
        description=(
            "More than {limits.max_exhausted.number:g} % of the tasks that end in {period} fail "
            "though they were retried (checked only if at least {min_failures} do)."
        ),
        metrics=("TasksExhausted", "TasksFailed", "TasksSucceeded"),
        expression="IF(m0>={min_failures}, 100*m0/(m1+m2), 0)",
        comparison=">",
        threshold=lambda limits: limits.max_exhausted.percent,
        lasting=_RATE_LASTING,
        within=_RATE_LASTING,
        period=_RATE_PERIOD,
    ),
    AlarmDefinition(
        key="exhausted",
        description=(
            "{limits.max_exhausted.number:.10g} tasks or more fail within {period} though they "
            "were retried."
        ),
        metrics=("TasksExhausted",),
        comparison=">=",
        threshold=lambda limits: limits.max_exhausted.count,
        period=lambda limits: limits.max_exhausted.seconds,
    ),
    AlarmDefinition(
        key="tasks-redelivered",
        description=(
            "A task began once more without a retry: its worker was lost, or it ran or waited for "
            "its eta longer than the broker's visibility timeout."
        ),
        metrics=("TasksRedelivered",),
        comparison=">",
        threshold=0,
        lasting=_AT_ONCE,
        next_step="check",
    ),
    AlarmDefinition(
        key="tasks-duplicated",
        description="A task was redelivered while it ran, and has ended twice.",
        metrics=("TasksDuplicated",),
        comparison=">",
        threshold=0,
        lasting=_AT_ONCE,
        next_step="check",
    ),
    AlarmDefinition(
        key="workers-lost",
        description="A worker died without a goodbye.",
        metrics=("WorkersLost",),
        comparison=">",
        threshold=0,
        lasting=_AT_ONCE,
    ),
    AlarmDefinition(
        key="tasks-orphaned",
        description=(
            "Tasks were running on a worker when it died; unless acks_late is set they are gone."
        ),
        metrics=("TasksOrphaned",),
        comparison=">",
        threshold=0,
        lasting=_AT_ONCE,
    ),
    AlarmDefinition(
        key="tasks-missing",
        description=(
            "Tasks were sent, and are neither in their queue nor with a worker: purged, evicted, "
            "expired in RabbitMQ, or acknowledged and lost. The monitor's log names them."
        ),
        metrics=("TasksMissing",),
        comparison=">",
        threshold=0,
        lasting=_AT_ONCE,
    ),
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
        key="second-monitor",
        description=(
            "More than one monitor publishes these metrics: everything is counted twice. Stop one, "
            "or give it a namespace or dimensions of its own."
        ),
        metrics=("MonitorHeartbeat",),
        comparison=">",
        threshold=1,
        is_per_shot=True,
        next_step="healthcheck",
        applies=_has_no_durable_queue,  # one that lags behind takes shots in between
    ),
    AlarmDefinition(
        key="events-lost",
        description="Task events of the workers did not arrive: counts are too low.",
        metrics=("EventsLost",),
        comparison=">",
        threshold=0,
        next_step="check",
    ),
    AlarmDefinition(
        key="probe-failures",
        description=(
            "The broker or the workers cannot be asked: what only they know, such as the length "
            "and the age of queues, is unknown, and its alarms are silent."
        ),
        metrics=("ProbeFailures",),
        comparison=">",
        threshold=0,
        next_step="check",
    ),
    AlarmDefinition(
        key="publish-failures",
        description=(
            "The monitor fails to send to CloudWatch; unsent data is kept and sent again."
        ),
        metrics=("PublishFailures",),
        comparison=">",
        threshold=0,
        pages=True,
        next_step="healthcheck",
    ),
    AlarmDefinition(
        key="spool-age",
        description=(
            "What the monitor sends is more than {limits.max_spool_age:.10g} seconds old: for that "
            "long it could not be sent, and it comes in order."
        ),
        metrics=("SpoolAge",),
        comparison=">",
        threshold=lambda limits: limits.max_spool_age or None,
        next_step="healthcheck",
    ),
    AlarmDefinition(
        key="data-dropped",
        description=(
            "Some data of the monitor will never arrive: it was refused, or the spool was full."
        ),
        metrics=("DatumsDropped",),
        comparison=">",
        threshold=0,
        lasting=_AT_ONCE,
        next_step="healthcheck",
    ),
)

#: The alarms of one queue.
QUEUE_ALARMS: tuple[AlarmDefinition[QueueLimits], ...] = (
    AlarmDefinition(
        key="oldest-message",
        description=(
            "A message has waited in this queue for more than {limits.max_age:.10g} seconds."
        ),
        metrics=("OldestMessageAge",),
        comparison=">",
        threshold=lambda limits: limits.max_age,
        pages=True,
    ),
    AlarmDefinition(
        key="queue-length",
        description="More than {limits.max_length:.10g} messages wait in this queue.",
        metrics=("QueueLength",),
        comparison=">",
        threshold=lambda limits: limits.max_length,
        lasting=300,  # a burst that drains is no trouble
        pages=True,
    ),
    AlarmDefinition(
        key="queue-workers",
        description="Fewer than {limits.workers:.10g} workers read this queue.",
        metrics=("QueueConsumers",),
        comparison="<",
        threshold=lambda limits: limits.workers,
        pages=True,
    ),
)

#: The alarms of one task.
TASK_ALARMS: tuple[AlarmDefinition[TaskLimits], ...] = (
    AlarmDefinition(
        key="runtime-p95",
        description=(
            "One in twenty runs of this task that succeed in {period}, or one of fewer, takes "
            "longer than {limits.p95:g} seconds."
        ),
        metrics=("TaskRuntime",),
        statistic="p95",
        comparison=">",
        threshold=lambda limits: limits.p95,
        period=lambda _: _TASK_RATE_PERIOD,  # it may run seldom
    ),
    AlarmDefinition(
        key="failure-rate",
        description=(
            "More than {limits.failures.number:g} % of the runs of this task that end in {period} "
            "fail (checked only if at least {min_failures} do)."
        ),
        metrics=_FAILED,
        expression=_FAILURE_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.failures.percent if limits.failures else None,
        period=lambda _: _TASK_RATE_PERIOD,
        pages=True,
    ),
    AlarmDefinition(
        key="failures",
        description=(
            "{limits.failures.number:.10g} runs of this task or more fail within {period}."
        ),
        metrics=("TasksFailed",),
        comparison=">=",
        threshold=lambda limits: limits.failures.count if limits.failures else None,
        period=lambda limits: limits.failures.seconds if limits.failures else 0,
        pages=True,
    ),
    AlarmDefinition(
        key="retry-rate",
        description=(
            "More than {limits.retries.number:g} % of the runs of this task that end in {period} "
            "end in a retry (checked only if at least {min_failures} do)."
        ),
        metrics=_RETRIED,
        expression=_RETRY_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.retries.percent if limits.retries else None,
        period=lambda _: _TASK_RATE_PERIOD,
    ),
    AlarmDefinition(
        key="retries",
        description=(
            "{limits.retries.number:.10g} runs of this task or more end in a retry within {period}."
        ),
        metrics=("TasksRetried",),
        comparison=">=",
        threshold=lambda limits: limits.retries.count if limits.retries else None,
        period=lambda limits: limits.retries.seconds if limits.retries else 0,
    ),
    AlarmDefinition(
        key="oldest-running",
        description="This task has been running for more than {limits.running:.10g} seconds.",
        metrics=("OldestRunningTaskAge",),
        comparison=">",
        threshold=lambda limits: limits.running,
    ),
)


def _burning(rate: float) -> Callable[[Objective], float]:
    """Return what gives the percent that go wrong when the budget is spent so fast."""
    return lambda objective: round(min(_HIGHEST_PERCENT, rate * (100 - objective.percent)), 6)


#: The alarms of one service level.
OBJECTIVE_ALARMS: tuple[AlarmDefinition[Objective], ...] = (
    AlarmDefinition(
        key="slo-fast",
        description=(
            "The error budget of `{limits}` is spent fast: in {period} at least a fiftieth of "
            "what is for 30 days (checked only if at least {min_failures} go wrong)."
        ),
        metrics=("SloGood", "SloTotal"),
        expression=_BURN_PERCENT,
        comparison=">",
        threshold=_burning(_FAST_BURN),
        period=lambda _: _FAST_BURN_PERIOD,
        pages=True,
    ),
    AlarmDefinition(
        key="slo-slow",
        description=(
            "The error budget of `{limits}` will not last: in {period} at least a twentieth of "
            "what is for 30 days is gone (checked only if at least {min_failures} go wrong)."
        ),
        metrics=("SloGood", "SloTotal"),
        expression=_BURN_PERCENT,
        comparison=">",
        threshold=_burning(_SLOW_BURN),
        period=lambda _: _SLOW_BURN_PERIOD,
    ),
)
