"""Metric spec: what a catalog entry holds, and the names that it may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DIMENSIONS", "SPLIT_SETTINGS", "Dimension", "Group", "MetricSpec", "Source", "Unit"]

Kind = Literal["count", "gauge", "times"]
Unit = Literal["Count", "Count/Second", "Seconds", "Percent", "Bytes", "None"]
Group = Literal["counts", "times", "tasks now", "workers", "queues", "monitor"]
Dimension = Literal[
    "TaskName", "QueueName", "WorkerName", "ExceptionType", "EventType", "ScheduleName", "SloName"
]

#: The values that ``event_monitor.metrics`` computes, each read by one metric. Both sides use this
#: type, so that mypy refuses a misspelt source, which would be a metric that is never published.
Source = Literal[
    # counts
    "sent",
    "received",
    "started",
    "succeeded",
    "failed",
    "retried",
    "revoked",
    "expired",
    "terminated",
    "rejected",
    "cancelled",
    "vanished",
    "recovered",
    "exhausted",
    "redelivered",
    "duplicated",
    "custom_events",
    # times
    "runtime",
    "queue_time",
    "prefetch_time",
    "failed_runtime",
    "total_time",
    "retries",
    # tasks now
    "running",
    "oldest_running",
    "tasks_in_flight",
    "draining",
    "orphaned",
    "missing",
    "names_failing",
    "schedule_overdue",
    "slo_good",
    "slo_total",
    "slo_budget",
    # workers
    "online",
    "offline",
    "lost",
    "active",
    "load_average",
    "stalled",
    "reserved",
    "scheduled",
    "revoked_held",
    "pool_processes",
    "utilization",
    "worker_memory",
    # queues
    "queue_length",
    "queue_unacked",
    "queue_consumers",
    "oldest_message",
    "queues_unread",
    "queue_status",
    "backlog_per_worker",
    "arrival_rate",
    "drain_rate",
    "time_to_empty",
    # monitor
    "heartbeat",
    "standbys",
    "connected",
    "events_received",
    "events_invalid",
    "events_dropped",
    "events_lost",
    "disconnections",
    "event_delay",
    "event_queue_length",
    "tasks_forgotten",
    "series_folded",
    "probe_failures",
    "publish_failures",
    "publish_ambiguous",
    "datums_dropped",
    "flush_duration",
    "spool_metrics",
    "spool_age",
]

#: What a series can be split by, and where the values come from.
DIMENSIONS: dict[Dimension, str] = {
    "TaskName": "the task's name, a group of names, `other` (the folded tail) or `unknown`",
    "QueueName": "the queue's name",
    "WorkerName": "the worker's full nodename, such as `celery@host`",
    "ExceptionType": "the class of what the task raised",
    "EventType": "the type of a custom event",
    "ScheduleName": "the name of a task that a schedule expects",
    "SloName": "a service level: its task or queue, and `start` or `succeed`",
}

#: Dimension → the setting that chooses the metrics split by it. Those split by a dimension that is
#: not here are so always: ``MetricSpec.always_by``.
SPLIT_SETTINGS: dict[
    str, Literal["by_task", "by_queue", "by_worker", "by_exception", "by_schedule"]
] = {
    "TaskName": "by_task",
    "QueueName": "by_queue",
    "WorkerName": "by_worker",
    "ExceptionType": "by_exception",
    "ScheduleName": "by_schedule",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """One metric as users meet it.

    ``kind`` count: a delta per interval, Sum is its statistic. gauge: a reading at the shot.
    times: a distribution, percentiles work. ``source`` is the value it is read from. ``splits``
    are the dimensions it can have (always one at a time, besides the total). ``needs`` names the
    settings without which its value is never known; of ``needs_one_of`` one is enough.
    """

    name: str
    group: Group
    kind: Kind
    unit: Unit
    source: Source
    meaning: str
    splits: tuple[Dimension, ...] = ()
    by_task: bool = False  # published per TaskName unless the settings say otherwise
    by_queue: bool = False  # the same for QueueName
    worst_is_low: bool = False  # a gauge to watch by its Minimum, not its Maximum
    needs: tuple[Literal["probe_queues", "probe_workers", "slo", "standby", "time_total"], ...] = ()
    needs_one_of: tuple[Literal["queue_length_limits", "queue_age_limits"], ...] = ()
    always_by: tuple[Dimension, ...] = ()  # published per value of these, whatever the settings
    needs_listening: bool = False  # its total is unknown before events could reach us
    from_survey: bool = False  # one survey is enough to know it: the beat task publishes it

    @property
    def statistic(self) -> str:
        """Return the CloudWatch statistic to look at."""
        if self.kind == "gauge":
            return "Minimum" if self.worst_is_low else "Maximum"
        return {"count": "Sum", "times": "p50 … p99, Sum, SampleCount"}[self.kind]
