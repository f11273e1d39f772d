"""Layout: the dashboard's panels in their order, for CloudWatch and Grafana alike. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..settings import Settings
from .panels import Line, Panel, Section
from .series import is_published

__all__ = ["dashboard_sections"]


def dashboard_sections(settings: Settings) -> tuple[Section, ...]:
    """Return the sections without what these settings do not publish, and without empty panels."""
    sections = []
    for section in _SECTIONS:
        panels = tuple(_published_panels(section.panels, settings))
        if panels:
            sections.append(replace(section, panels=panels))
    return tuple(sections)


def _published_panels(panels: tuple[Panel, ...], settings: Settings) -> Iterator[Panel]:
    for panel in panels:
        lines = tuple(
            line for line in panel.lines if is_published(line.metric, settings, split=panel.split)
        )
        complete = lines == panel.lines
        if lines and (complete or not panel.expression):  # an expression needs all of them
            yield replace(panel, lines=lines)


def _percentiles(*percentiles: str, metric: str) -> tuple[Line, ...]:
    return tuple(
        Line(metric=metric, statistic=percentile, label=percentile) for percentile in percentiles
    )


def _lines(statistic: str, **labels: str) -> tuple[Line, ...]:
    """Return lines of one statistic; each keyword is a metric, and its value the label."""
    return tuple(
        Line(metric=metric, statistic=statistic, label=label) for metric, label in labels.items()
    )


def _task_table(*, title: str, metric: str, statistic: str) -> Panel:
    """Return a table of the tasks with the largest values."""
    lines = (Line(metric=metric, statistic=statistic, label=title),)
    return Panel(title=title, lines=lines, kind="table", height=8, split="TaskName")


def _queue_graph(*, title: str, metric: str) -> Panel:
    """Return a graph of the queues with the largest values."""
    lines = (Line(metric=metric, statistic="Maximum", label=title),)
    return Panel(title=title, lines=lines, split="QueueName")


_SECTIONS: tuple[Section, ...] = (
    Section(
        title="Now",
        panels=(
            Panel(
                title="Now",
                kind="numbers",
                width=24,
                height=3,
                lines=(
                    Line(metric="WorkersOnline", statistic="Minimum", label="workers online"),
                    Line(metric="TasksRunning", statistic="Maximum", label="tasks running"),
                    Line(
                        metric="OldestRunningTaskAge", statistic="Maximum", label="longest run, s"
                    ),
                    Line(metric="QueueLength", statistic="Maximum", label="messages waiting"),
                    Line(metric="OldestMessageAge", statistic="Maximum", label="oldest message, s"),
                    Line(metric="TimeToEmpty", statistic="Maximum", label="time to empty, s"),
                ),
            ),
        ),
    ),
    Section(
        title="Tasks",
        panels=(
            Panel(
                title="Tasks",
                lines=_lines(
                    "Sum",
                    TasksSent="sent",
                    TasksReceived="received",
                    TasksSucceeded="succeeded",
                    TasksFailed="failed",
                    TasksRetried="retried",
                ),
                width=12,
            ),
            Panel(
                title="Failures, % of the tasks that end",
                lines=_lines("Sum", TasksFailed="failed", TasksSucceeded="succeeded"),
                width=12,
                expression="IF((m0+m1)>0, 100*m0/(m0+m1), 0)",
            ),
            Panel(
                title="Runtime",
                lines=_percentiles("p50", "p95", "p99", metric="TaskRuntime"),
                width=12,
            ),
            Panel(
                title="Wait in the queue",
                lines=_percentiles("p50", "p95", "p99", metric="TaskQueueTime"),
                width=12,
            ),
        ),
    ),
    Section(
        title="By task",
        panels=(
            _task_table(title="Failures by task", metric="TasksFailed", statistic="Sum"),
            _task_table(title="Successes by task", metric="TasksSucceeded", statistic="Sum"),
            _task_table(title="Runtime p95 by task", metric="TaskRuntime", statistic="p95"),
            Panel(
                title="Chosen task",
                lines=_lines(
                    "Sum", TasksSucceeded="succeeded", TasksFailed="failed", TasksRetried="retried"
                ),
                width=12,
                split="TaskName",
                chosen=True,
            ),
            Panel(
                title="Chosen task: runtime",
                lines=_percentiles("p50", "p95", "p99", metric="TaskRuntime"),
                width=12,
                split="TaskName",
                chosen=True,
            ),
        ),
    ),
    Section(
        title="Queues",
        panels=(
            _queue_graph(title="Messages waiting", metric="QueueLength"),
            _queue_graph(title="Age of the oldest message", metric="OldestMessageAge"),
            _queue_graph(title="Backlog per pool process", metric="BacklogPerWorker"),
            Panel(
                title="Chosen queue: messages",
                lines=_lines(
                    "Maximum",
                    QueueLength="waiting",
                    QueueUnacked="with workers",
                    BacklogPerWorker="backlog per process",
                ),
                width=12,
                split="QueueName",
                chosen=True,
            ),
            Panel(
                title="Chosen queue: age of the oldest message",
                lines=_lines("Maximum", OldestMessageAge="age"),
                width=12,
                split="QueueName",
                chosen=True,
            ),
        ),
    ),
    Section(
        title="Workers",
        panels=(
            Panel(
                title="Workers",
                lines=(
                    Line(metric="WorkersOnline", statistic="Minimum", label="online"),
                    Line(metric="WorkersLost", statistic="Sum", label="lost"),
                    Line(metric="WorkersStalled", statistic="Maximum", label="stalled"),
                ),
            ),
            Panel(
                title="Held by workers",
                lines=_lines(
                    "Maximum",
                    TasksActive="active",
                    TasksReserved="reserved",
                    TasksScheduled="scheduled",
                    PoolProcesses="pool processes",
                ),
            ),
            Panel(title="Utilization", lines=_lines("Maximum", WorkerUtilization="busy")),
            Panel(
                title="Memory of the largest worker",
                lines=_lines("Maximum", WorkerMemory="peak"),
            ),
            Panel(title="Highest load", lines=_lines("Maximum", LoadAverage="load average")),
            Panel(title="Tasks orphaned", lines=_lines("Sum", TasksOrphaned="orphaned")),
        ),
    ),
    Section(
        title="The monitor",
        panels=(
            Panel(
                title="Alive and connected",
                lines=(
                    Line(metric="MonitorHeartbeat", statistic="Sum", label="heartbeats"),
                    Line(metric="BrokerConnected", statistic="Minimum", label="broker connected"),
                ),
            ),
            Panel(
                title="Losses",
                lines=_lines(
                    "Sum",
                    EventsLost="events lost",
                    EventsInvalid="events invalid",
                    TasksForgotten="tasks forgotten",
                    DatumsDropped="data dropped",
                ),
            ),
            Panel(
                title="Failures",
                lines=_lines(
                    "Sum",
                    PublishFailures="sends failed",
                    PublishAmbiguous="sends ambiguous",
                    ProbeFailures="probes failed",
                    BrokerDisconnections="broker lost",
                ),
            ),
            Panel(title="Events", lines=_lines("Sum", EventsReceived="received")),
            Panel(title="Delay of events", lines=_percentiles("p50", "p95", metric="EventDelay")),
            Panel(title="Duration of a send", lines=_lines("Maximum", FlushDuration="send")),
        ),
    ),
)
