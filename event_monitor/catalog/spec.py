"""Catalog: every metric once. README, `event-monitor metrics` and `metrics.py` read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CATALOG", "DIMENSIONS", "Group", "MetricSpec", "Unit", "spec"]

Kind = Literal["count", "gauge", "times"]
Unit = Literal["Count", "Count/Second", "Seconds", "Percent", "Bytes", "None"]
Group = Literal["counts", "times", "tasks now", "workers", "queues", "monitor"]

#: What a series can be split by, and where the values come from.
DIMENSIONS = {
    "TaskName": "the task's name, a group of names, `other` (the folded tail) or `unknown`",
    "QueueName": "the queue's name",
    "WorkerName": "the worker's full nodename, such as `celery@host`",
    "ExceptionType": "the class of what the task raised",
    "EventType": "the type of a custom event",
}


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric as users meet it.

    ``kind`` count: a delta per interval, Sum is its statistic. gauge: a reading at the shot.
    times: a distribution, percentiles work. ``source`` is the field of the snapshot it is read
    from. ``splits`` are the dimensions it can have (always one at a time, besides the total).
    ``needs`` names the settings without which its value is never known.
    """

    name: str
    group: Group
    kind: Kind
    unit: Unit
    source: str
    meaning: str
    splits: tuple[str, ...] = ()
    by_task: bool = False  # published per TaskName unless the settings say otherwise
    by_queue: bool = False  # the same for QueueName
    worst_is_low: bool = False  # a gauge to watch by its Minimum, not its Maximum
    needs: tuple[str, ...] = ()

    @property
    def statistic(self) -> str:
        """The CloudWatch statistic to look at."""
        if self.kind == "gauge":
            return "Minimum" if self.worst_is_low else "Maximum"
        return {"count": "Sum", "times": "p50 … p99, Sum, SampleCount"}[self.kind]


_TASK = ("TaskName", "WorkerName")
_QUEUE_PROBE = ("probe_queues",)
_WORKER_PROBE = ("probe_workers",)


def _count(name: str, source: str, meaning: str, *, by_task: bool = False) -> MetricSpec:
    return MetricSpec(name, "counts", "count", "Count", source, meaning, _TASK, by_task)


def _of_worker(
    name: str,
    unit: Unit,
    source: str,
    meaning: str,
    *,
    needs: tuple[str, ...] = _WORKER_PROBE,
) -> MetricSpec:
    return MetricSpec(name, "workers", "gauge", unit, source, meaning, ("WorkerName",), needs=needs)


def _of_queue(
    name: str,
    unit: Unit,
    source: str,
    meaning: str,
    *,
    by_queue: bool = False,
    low: bool = False,
    needs: tuple[str, ...] = _QUEUE_PROBE,
) -> MetricSpec:
    return MetricSpec(
        name,
        "queues",
        "gauge",
        unit,
        source,
        meaning,
        ("QueueName",),
        by_queue=by_queue,
        worst_is_low=low,
        needs=needs,
    )


def _times(name: str, source: str, meaning: str, *, by_task: bool = False) -> MetricSpec:
    return MetricSpec(name, "times", "times", "Seconds", source, meaning, _TASK, by_task)


CATALOG: tuple[MetricSpec, ...] = (
    MetricSpec(
        "TasksSent",
        "counts",
        "count",
        "Count",
        "sent",
        "Tasks published by producers that set `task_send_sent_event`.",
        ("TaskName",),
    ),
    _count("TasksReceived", "received", "Tasks taken from a queue by a worker."),
    _count("TasksStarted", "started", "Runs begun; a retried task starts again."),
    _count("TasksSucceeded", "succeeded", "Tasks that returned.", by_task=True),
    MetricSpec(
        "TasksFailed",
        "counts",
        "count",
        "Count",
        "failed",
        "Tasks that raised, hit a hard time limit or lost their process.",
        (*_TASK, "ExceptionType"),
        by_task=True,
    ),
    _count("TasksRetried", "retried", "Runs that ended in a retry.", by_task=True),
    _count("TasksRevoked", "revoked", "Tasks revoked, for whatever reason."),
    _count("TasksExpired", "expired", "Of the revoked: those that expired before they started."),
    _count("TasksTerminated", "terminated", "Of the revoked: those killed while they ran."),
    _count("TasksRejected", "rejected", "Tasks that were rejected (`Reject`)."),
    _count(
        "TasksCancelled",
        "cancelled",
        "Running tasks given up when a worker lost its broker, to be delivered again.",
    ),
    MetricSpec(
        "CustomEvents",
        "counts",
        "count",
        "Count",
        "custom_events",
        "Events of the application's own types.",
        ("EventType",),
    ),
    _times(
        "TaskRuntime", "runtime", "How long tasks that succeeded ran, as they say.", by_task=True
    ),
    _times(
        "TaskQueueTime",
        "queue_time",
        "Start − the later of publishing and `eta`; from receipt where no task-sent event comes.",
        by_task=True,
    ),
    _times("TaskPrefetchTime", "prefetch_time", "Start − receipt: the wait inside the worker."),
    MetricSpec(
        "TasksRunning",
        "tasks now",
        "gauge",
        "Count",
        "running",
        "Tasks that run now.",
        ("TaskName",),
    ),
    MetricSpec(
        "OldestRunningTaskAge",
        "tasks now",
        "gauge",
        "Seconds",
        "oldest_running",
        "How long the longest-running task has been running; 0 when none runs.",
        ("TaskName",),
    ),
    MetricSpec(
        "TasksInFlight",
        "tasks now",
        "gauge",
        "Count",
        "tasks_in_flight",
        "Tasks sent, received or started whose end has not come; what the monitor holds in memory.",
    ),
    MetricSpec(
        "TasksOrphaned",
        "tasks now",
        "count",
        "Count",
        "orphaned",
        "Tasks that were running on a worker when it was lost, each counted once.",
        ("WorkerName",),
    ),
    MetricSpec(
        "WorkersOnline",
        "workers",
        "gauge",
        "Count",
        "online",
        "Workers whose heartbeats come.",
        ("WorkerName",),
        worst_is_low=True,
    ),
    MetricSpec(
        "WorkersOffline",
        "workers",
        "gauge",
        "Count",
        "offline",
        "Workers that said goodbye and are not forgotten yet.",
        ("WorkerName",),
    ),
    MetricSpec(
        "WorkersLost",
        "workers",
        "count",
        "Count",
        "lost",
        "Workers that went silent without a goodbye, each death counted once.",
        ("WorkerName",),
    ),
    MetricSpec(
        "TasksActive",
        "workers",
        "gauge",
        "Count",
        "active",
        "Tasks that online workers say they execute, from their heartbeats.",
        ("WorkerName",),
    ),
    MetricSpec(
        "LoadAverage",
        "workers",
        "gauge",
        "None",
        "load_average",
        "The highest one-minute load average among online workers, from their heartbeats.",
        ("WorkerName",),
    ),
    _of_worker(
        "WorkersStalled",
        "Count",
        "stalled",
        "Workers that beat but begin nothing, run nothing, and have work waiting in their queues.",
        needs=(*_QUEUE_PROBE, *_WORKER_PROBE),
    ),
    _of_worker(
        "TasksReserved",
        "Count",
        "reserved",
        "Tasks workers hold and have not begun.",
    ),
    _of_worker("TasksScheduled", "Count", "scheduled", "Tasks workers hold until their eta."),
    _of_worker("TasksRevokedHeld", "Count", "revoked_held", "Ids that workers hold as revoked."),
    _of_worker("PoolProcesses", "Count", "pool_processes", "Tasks that workers can run at once."),
    _of_worker(
        "WorkerUtilization", "Percent", "utilization", "Tasks active ÷ tasks that could be, × 100."
    ),
    _of_worker(
        "WorkerMemory",
        "Bytes",
        "worker_memory",
        "The largest peak resident memory of a worker's main process.",
    ),
    _of_queue(
        "QueueLength",
        "Count",
        "queue_length",
        "Messages ready for a worker, of every priority.",
        by_queue=True,
    ),
    _of_queue(
        "QueueUnacked", "Count", "queue_unacked", "Messages with workers, not acknowledged yet."
    ),
    _of_queue(
        "QueueConsumers", "Count", "queue_consumers", "Workers that read the queue.", low=True
    ),
    _of_queue(
        "OldestMessageAge",
        "Seconds",
        "oldest_message",
        "How long the oldest waiting message has been waiting; 0 when none waits.",
        by_queue=True,
    ),
    _of_queue(
        "QueueStatus",
        "None",
        "queue_status",
        "0 ok, 1 warning, 2 critical, by `queue_length_limits` and `queue_age_limits`.",
        by_queue=True,
    ),
    _of_queue(
        "BacklogPerWorker",
        "Count",
        "backlog_per_worker",
        "(Ready + unacknowledged) ÷ the pool processes that serve the queue, at least 1.",
        by_queue=True,
        needs=(*_QUEUE_PROBE, *_WORKER_PROBE),
    ),
    _of_queue("ArrivalRate", "Count/Second", "arrival_rate", "Messages that came into the queues."),
    _of_queue(
        "DrainRate", "Count/Second", "drain_rate", "Messages that workers took from the queues."
    ),
    _of_queue(
        "TimeToEmpty",
        "Seconds",
        "time_to_empty",
        "Ready ÷ (drain − arrival); nothing while the queue does not shrink.",
    ),
    MetricSpec(
        "MonitorHeartbeat",
        "monitor",
        "count",
        "Count",
        "heartbeat",
        "1 for every shot. Its absence means that the monitor is dead: alarm on it.",
    ),
    MetricSpec(
        "BrokerConnected",
        "monitor",
        "gauge",
        "Count",
        "connected",
        "1 while the monitor hears the broker, else 0; workers are not judged meanwhile.",
        worst_is_low=True,
    ),
    MetricSpec(
        "EventsReceived",
        "monitor",
        "count",
        "Count",
        "events_received",
        "Events that arrived, of any type.",
    ),
    MetricSpec(
        "EventsInvalid",
        "monitor",
        "count",
        "Count",
        "events_invalid",
        "Messages, or parts of them, that were no event; dropped.",
    ),
    MetricSpec(
        "EventsLost",
        "monitor",
        "count",
        "Count",
        "events_lost",
        "task-started events that never came, by the workers' own count of tasks begun.",
        ("WorkerName",),
    ),
    MetricSpec(
        "BrokerDisconnections",
        "monitor",
        "count",
        "Count",
        "disconnections",
        "How often the broker was lost, or cut us off.",
    ),
    MetricSpec(
        "EventDelay",
        "monitor",
        "times",
        "Seconds",
        "event_delay",
        "Receipt − the sender's timestamp, sampled; shows a backlog or a skewed clock.",
    ),
    MetricSpec(
        "TasksForgotten",
        "monitor",
        "count",
        "Count",
        "tasks_forgotten",
        "Tasks in flight dropped because `max_tasks_in_flight` was reached.",
    ),
    MetricSpec(
        "SeriesFolded",
        "monitor",
        "gauge",
        "Count",
        "series_folded",
        "Task names and other values published as `other`, because a bound was reached.",
    ),
    MetricSpec(
        "ProbeFailures",
        "monitor",
        "count",
        "Count",
        "probe_failures",
        "Questions to broker or workers that failed; the gauges they were for are left out.",
    ),
    MetricSpec(
        "PublishFailures",
        "monitor",
        "count",
        "Count",
        "publish_failures",
        "Sends that failed; what they held is kept and sent again.",
    ),
    MetricSpec(
        "PublishAmbiguous",
        "monitor",
        "count",
        "Count",
        "publish_ambiguous",
        "Failed sends that may have been applied all the same; see `on_ambiguous_send`.",
    ),
    MetricSpec(
        "DatumsDropped",
        "monitor",
        "count",
        "Count",
        "datums_dropped",
        "Data that will never arrive: refused as invalid, or pushed out of a full spool.",
    ),
    MetricSpec(
        "FlushDuration",
        "monitor",
        "gauge",
        "Seconds",
        "flush_duration",
        "How long the last send took.",
    ),
)

_BY_NAME = {one.name: one for one in CATALOG}


def spec(name: str) -> MetricSpec:
    """The catalog's entry of that name; ``KeyError`` if there is none."""
    return _BY_NAME[name]
