"""Monitor: the metrics about the monitor itself."""

from __future__ import annotations

from .metric_spec import MetricSpec

__all__ = ["MONITOR_METRICS"]

MONITOR_METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        name="MonitorHeartbeat",
        group="monitor",
        kind="count",
        unit="Count",
        source="heartbeat",
        meaning="1 for every shot. Its absence means that the monitor is dead: alarm on it.",
    ),
    MetricSpec(
        name="MonitorStandby",
        group="monitor",
        kind="gauge",
        unit="Count",
        source="standbys",
        meaning="Monitors that stand by, as far as the one that publishes has heard of them.",
        needs=("standby",),
        worst_is_low=True,
    ),
    MetricSpec(
        name="BrokerConnected",
        group="monitor",
        kind="gauge",
        unit="Count",
        source="connected",
        meaning="1 while the monitor is connected to the broker, else 0; workers are not judged "
        "meanwhile.",
        worst_is_low=True,
    ),
    MetricSpec(
        name="EventsReceived",
        group="monitor",
        kind="count",
        unit="Count",
        source="events_received",
        meaning="Events that arrived, of any type.",
    ),
    MetricSpec(
        name="EventsInvalid",
        group="monitor",
        kind="count",
        unit="Count",
        source="events_invalid",
        meaning="Messages, or parts of them, that were no event; dropped.",
    ),
    MetricSpec(
        name="EventsDropped",
        group="monitor",
        kind="count",
        unit="Count",
        source="events_dropped",
        meaning="Events that their senders could not send, by their own count; over SQS only.",
    ),
    MetricSpec(
        name="EventsLost",
        group="monitor",
        kind="count",
        unit="Count",
        source="events_lost",
        meaning="task-started events that never came, by the workers' own count of tasks begun.",
        splits=("WorkerName",),
    ),
    MetricSpec(
        name="BrokerDisconnections",
        group="monitor",
        kind="count",
        unit="Count",
        source="disconnections",
        meaning="How often the broker was lost, or cut us off.",
    ),
    MetricSpec(
        name="EventDelay",
        group="monitor",
        kind="times",
        unit="Seconds",
        source="event_delay",
        meaning="Receipt − the sender's timestamp, sampled; shows a backlog or a skewed clock.",
    ),
    MetricSpec(
        name="EventQueueLength",
        group="monitor",
        kind="gauge",
        unit="Count",
        source="event_queue_length",
        meaning="Messages that wait in the monitor's own queue; on RabbitMQ and over SQS only.",
    ),
    MetricSpec(
        name="TasksForgotten",
        group="monitor",
        kind="count",
        unit="Count",
        source="tasks_forgotten",
        meaning="Tasks in flight dropped because `max_tasks_in_flight` was reached.",
    ),
    MetricSpec(
        name="SeriesFolded",
        group="monitor",
        kind="gauge",
        unit="Count",
        source="series_folded",
        meaning="Task names and other values published as `other`, because a bound was reached.",
    ),
    MetricSpec(
        name="ProbeFailures",
        group="monitor",
        kind="count",
        unit="Count",
        source="probe_failures",
        meaning=(
            "Questions to broker or workers that failed; the gauges they were for are left out."
        ),
        from_survey=True,
    ),
    MetricSpec(
        name="PublishFailures",
        group="monitor",
        kind="count",
        unit="Count",
        source="publish_failures",
        meaning="Sends that failed; what they held is kept and sent again.",
    ),
    MetricSpec(
        name="PublishAmbiguous",
        group="monitor",
        kind="count",
        unit="Count",
        source="publish_ambiguous",
        meaning=(
            "Failed sends that may have been applied all the same (see `on_ambiguous_send`); over "
            "SQS also windows with messages that a monitor which has gone may have counted."
        ),
    ),
    MetricSpec(
        name="DatumsDropped",
        group="monitor",
        kind="count",
        unit="Count",
        source="datums_dropped",
        meaning="Data that will never arrive: refused as invalid, or pushed out of a full spool.",
    ),
    MetricSpec(
        name="FlushDuration",
        group="monitor",
        kind="gauge",
        unit="Seconds",
        source="flush_duration",
        meaning="How long the last send took.",
    ),
    MetricSpec(
        name="SpoolMetrics",
        group="monitor",
        kind="gauge",
        unit="Count",
        source="spool_metrics",
        meaning="Metrics of earlier shots that have not been accepted yet.",
    ),
    MetricSpec(
        name="SpoolAge",
        group="monitor",
        kind="gauge",
        unit="Seconds",
        source="spool_age",
        meaning="How long the oldest of these have been kept; 0 when there is none.",
    ),
)
