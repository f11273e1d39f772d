"""Workers: what their heartbeats report, and their answers when asked."""

from __future__ import annotations

from .metric_spec import MetricSpec

__all__ = ["WORKER_METRICS"]

WORKER_METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        name="WorkersOnline",
        group="workers",
        kind="gauge",
        unit="Count",
        source="online",
        meaning="Workers whose heartbeats come.",
        splits=("WorkerName",),
        worst_is_low=True,
        needs_listening=True,
        from_survey=True,
    ),
    MetricSpec(
        name="WorkersOffline",
        group="workers",
        kind="gauge",
        unit="Count",
        source="offline",
        meaning="Workers that said goodbye and are not forgotten yet.",
        splits=("WorkerName",),
        needs_listening=True,
    ),
    MetricSpec(
        name="WorkersLost",
        group="workers",
        kind="count",
        unit="Count",
        source="lost",
        meaning="Workers that went silent without a goodbye, each death counted once.",
        splits=("WorkerName",),
    ),
    MetricSpec(
        name="TasksActive",
        group="workers",
        kind="gauge",
        unit="Count",
        source="active",
        meaning="Tasks that online workers say they execute, from their heartbeats.",
        splits=("WorkerName",),
        needs_listening=True,
        from_survey=True,
    ),
    MetricSpec(
        name="LoadAverage",
        group="workers",
        kind="gauge",
        unit="None",
        source="load_average",
        meaning="The highest one-minute load average among online workers, from their heartbeats.",
        splits=("WorkerName",),
    ),
    MetricSpec(
        name="WorkersStalled",
        group="workers",
        kind="gauge",
        unit="Count",
        source="stalled",
        meaning=(
            "Workers that beat but begin nothing, run nothing, and have work waiting in their "
            "queues."
        ),
        splits=("WorkerName",),
        needs=("probe_queues", "probe_workers"),
    ),
    MetricSpec(
        name="TasksReserved",
        group="workers",
        kind="gauge",
        unit="Count",
        source="reserved",
        meaning="Tasks workers hold and have not begun.",
        splits=("WorkerName",),
        needs=("probe_workers",),
        from_survey=True,
    ),
    MetricSpec(
        name="TasksScheduled",
        group="workers",
        kind="gauge",
        unit="Count",
        source="scheduled",
        meaning="Tasks workers hold until their eta.",
        splits=("WorkerName",),
        needs=("probe_workers",),
        from_survey=True,
    ),
    MetricSpec(
        name="TasksRevokedHeld",
        group="workers",
        kind="gauge",
        unit="Count",
        source="revoked_held",
        meaning="Ids that workers hold as revoked.",
        splits=("WorkerName",),
        needs=("probe_workers",),
        from_survey=True,
    ),
    MetricSpec(
        name="PoolProcesses",
        group="workers",
        kind="gauge",
        unit="Count",
        source="pool_processes",
        meaning=(
            "Tasks that workers can run at once; by queue: of the workers that read it. One that "
            "reads several counts for each."
        ),
        splits=("WorkerName", "QueueName"),
        needs=("probe_workers",),
        from_survey=True,
    ),
    MetricSpec(
        name="WorkerUtilization",
        group="workers",
        kind="gauge",
        unit="Percent",
        source="utilization",
        meaning="Tasks active ÷ tasks that could be, × 100; by queue: of the workers that read it.",
        splits=("WorkerName", "QueueName"),
        by_queue=True,
        needs=("probe_workers",),
        from_survey=True,
    ),
    MetricSpec(
        name="WorkerMemory",
        group="workers",
        kind="gauge",
        unit="Bytes",
        source="worker_memory",
        meaning=(
            "The largest resident memory of a worker with its pool, if it says that in its "
            "heartbeats (send_events_over_sqs); else the peak of its main process alone."
        ),
        splits=("WorkerName",),
        needs=("probe_workers",),
        from_survey=True,
    ),
)
