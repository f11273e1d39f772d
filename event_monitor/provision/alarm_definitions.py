"""Alarm definitions: one row per alarm, before names, periods and dimensions. Pure."""

from __future__ import annotations

from .definition import AlarmDefinition, NoData
from .options import ProvisionOptions, QueueLimits, TaskLimits
from .series import has_queue_limits

__all__ = ["CLUSTER_ALARMS", "QUEUE_ALARMS", "TASK_ALARMS"]

_NO_DATA_ABOUT_WORKERS = NoData(
    treated_as="breaching",
    reason="No data is treated as a problem: nobody knows whether workers are there.",
)
_NO_DATA_FROM_MONITOR = NoData(
    treated_as="breaching",
    reason="No data is exactly what it is for.",
)


# Percentages are 0 while too few tasks end for one to mean anything.
_FAILURE_PERCENT = "IF((m0+m1)>={min_tasks}, 100*m0/(m0+m1), 0)"
_RETRY_PERCENT = "IF((m0+m1+m2)>={min_tasks}, 100*m0/(m0+m1+m2), 0)"

_MEBIBYTE = 2**20

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
        datapoints=3,
        periods=3,
        no_data=_NO_DATA_FROM_MONITOR,
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
    ),
    AlarmDefinition(
        key="too-few-workers",
        description="Fewer than {limits.workers_at_least} workers are online.",
        metrics=("WorkersOnline",),
        comparison="<",
        threshold=lambda limits: limits.workers_at_least or None,
        no_data=_NO_DATA_ABOUT_WORKERS,
    ),
    AlarmDefinition(
        key="failure-rate",
        description=(
            "More than {limits.max_failures:g} % of the tasks that end fail "
            "(checked only while at least {min_tasks} end in a period)."
        ),
        metrics=("TasksFailed", "TasksSucceeded"),
        expression=_FAILURE_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.max_failures or None,
    ),
    AlarmDefinition(
        key="retry-rate",
        description=(
            "More than {limits.max_retries:g} % of the runs end in a retry "
            "(checked only while at least {min_tasks} end in a period)."
        ),
        metrics=("TasksRetried", "TasksFailed", "TasksSucceeded"),
        expression=_RETRY_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.max_retries or None,
    ),
    AlarmDefinition(
        key="workers-lost",
        description="A worker died without a goodbye.",
        metrics=("WorkersLost",),
        comparison=">",
        threshold=0,
        datapoints=1,  # a death is counted in one period only
    ),
    AlarmDefinition(
        key="tasks-orphaned",
        description=(
            "Tasks were running on a worker when it died; unless acks_late is set they are gone."
        ),
        metrics=("TasksOrphaned",),
        comparison=">",
        threshold=0,
        datapoints=1,  # each is counted in one period only
    ),
    AlarmDefinition(
        key="workers-stalled",
        description="A worker sends heartbeats but starts nothing, while tasks wait in its queues.",
        metrics=("WorkersStalled",),
        comparison=">",
        threshold=0,
    ),
    AlarmDefinition(
        key="oldest-message",
        description=(
            "A message has waited in some queue for more than {limits.max_age:.10g} seconds."
        ),
        metrics=("OldestMessageAge",),
        comparison=">",
        threshold=lambda limits: limits.max_age or None,
    ),
    AlarmDefinition(
        key="queue-length",
        description="More than {limits.max_length:.10g} messages wait in all queues together.",
        metrics=("QueueLength",),
        comparison=">",
        threshold=lambda limits: limits.max_length or None,
        datapoints=5,  # a burst that drains is no trouble
    ),
    AlarmDefinition(
        key="queue-critical",
        description="Some queue is critical by queue_length_limits or queue_age_limits.",
        metrics=("QueueStatus",),
        comparison=">=",
        threshold=2,
        applies=has_queue_limits,
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
            "A worker's main process has used more than {limits.max_memory:g} MiB. It is the "
            "peak: it falls only when the worker is restarted."
        ),
        metrics=("WorkerMemory",),
        comparison=">",
        threshold=lambda limits: limits.max_memory * _MEBIBYTE or None,
    ),
    AlarmDefinition(
        key="events-lost",
        description="Task events of the workers did not arrive: counts are too low.",
        metrics=("EventsLost",),
        comparison=">",
        threshold=0,
    ),
    AlarmDefinition(
        key="publish-failures",
        description=(
            "The monitor fails to send to CloudWatch; unsent data is kept and sent again."
        ),
        metrics=("PublishFailures",),
        comparison=">",
        threshold=0,
    ),
    AlarmDefinition(
        key="data-dropped",
        description=(
            "Some data of the monitor will never arrive: it was refused, or the spool was full."
        ),
        metrics=("DatumsDropped",),
        comparison=">",
        threshold=0,
        datapoints=1,  # each is counted in one period only
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
    ),
    AlarmDefinition(
        key="queue-length",
        description="More than {limits.max_length:.10g} messages wait in this queue.",
        metrics=("QueueLength",),
        comparison=">",
        threshold=lambda limits: limits.max_length,
        datapoints=5,  # a burst that drains is no trouble
    ),
)

#: The alarms of one task.
TASK_ALARMS: tuple[AlarmDefinition[TaskLimits], ...] = (
    AlarmDefinition(
        key="runtime-p95",
        description=(
            "One in twenty runs of this task takes longer than {limits.p95:g} seconds. "
            "It is checked however few runs there are."
        ),
        metrics=("TaskRuntime",),
        statistic="p95",
        comparison=">",
        threshold=lambda limits: limits.p95,
    ),
    AlarmDefinition(
        key="failure-rate",
        description=(
            "More than {limits.failures:g} % of the runs of this task that end fail "
            "(checked only while at least {min_tasks} end in a period)."
        ),
        metrics=("TasksFailed", "TasksSucceeded"),
        expression=_FAILURE_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.failures,
    ),
)
