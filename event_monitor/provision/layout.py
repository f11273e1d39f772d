"""Sections: the dashboard's panels in their order, for CloudWatch and Grafana alike. Pure.

Only series that the settings publish are in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..settings import Settings
from .panels import Line, Panel, Section
from .series import is_published

__all__ = ["sections_of"]


def sections_of(settings: Settings) -> tuple[Section, ...]:
    """The dashboard without what these settings do not publish, and without empty panels."""
    sections = []
    for section in _SECTIONS:
        panels = tuple(_kept(section.panels, settings))
        if panels:
            sections.append(Section(section.title, panels))
    return tuple(sections)


def _kept(panels: tuple[Panel, ...], settings: Settings) -> Iterator[Panel]:
    for panel in panels:
        lines = tuple(
            line for line in panel.lines if is_published(line.metric, settings, panel.split)
        )
        if lines and not (panel.expression and lines != panel.lines):
            yield replace(panel, lines=lines)


def _times(metric: str, *percentiles: str) -> tuple[Line, ...]:
    return tuple(Line(metric, percentile, percentile) for percentile in percentiles)


def _lines(statistic: str, **labels: str) -> tuple[Line, ...]:
    return tuple(Line(metric, statistic, label) for metric, label in labels.items())


def _by(title: str, metric: str, statistic: str, split: str) -> Panel:
    table = split == "TaskName"
    return Panel(
        title=title,
        lines=(Line(metric, statistic, title),),
        kind="table" if table else "graph",
        height=8 if table else 6,
        split=split,
    )


_SECTIONS = (
    Section(
        "Now",
        (
            Panel(
                title="Now",
                kind="numbers",
                width=24,
                height=3,
                lines=(
                    Line("WorkersOnline", "Minimum", "workers online"),
                    Line("TasksRunning", "Maximum", "tasks running"),
                    Line("OldestRunningTaskAge", "Maximum", "longest run, s"),
                    Line("QueueLength", "Maximum", "messages waiting"),
                    Line("OldestMessageAge", "Maximum", "oldest message, s"),
                    Line("TimeToEmpty", "Maximum", "time to empty, s"),
                ),
            ),
        ),
    ),
    Section(
        "Tasks",
        (
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
            Panel(title="Runtime", lines=_times("TaskRuntime", "p50", "p95", "p99"), width=12),
            Panel(
                title="Wait in the queue",
                lines=_times("TaskQueueTime", "p50", "p95", "p99"),
                width=12,
            ),
        ),
    ),
    Section(
        "By task",
        (
            _by("Failures by task", "TasksFailed", "Sum", "TaskName"),
            _by("Successes by task", "TasksSucceeded", "Sum", "TaskName"),
            _by("Runtime p95 by task", "TaskRuntime", "p95", "TaskName"),
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
                lines=_times("TaskRuntime", "p50", "p95", "p99"),
                width=12,
                split="TaskName",
                chosen=True,
            ),
        ),
    ),
    Section(
        "Queues",
        (
            _by("Messages waiting", "QueueLength", "Maximum", "QueueName"),
            _by("Age of the oldest message", "OldestMessageAge", "Maximum", "QueueName"),
            _by("Backlog per pool process", "BacklogPerWorker", "Maximum", "QueueName"),
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
        "Workers",
        (
            Panel(
                title="Workers",
                lines=(
                    Line("WorkersOnline", "Minimum", "online"),
                    Line("WorkersLost", "Sum", "lost"),
                    Line("WorkersStalled", "Maximum", "stalled"),
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
        "The monitor",
        (
            Panel(
                title="Alive and connected",
                lines=(
                    Line("MonitorHeartbeat", "Sum", "heartbeats"),
                    Line("BrokerConnected", "Minimum", "broker connected"),
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
            Panel(title="Delay of events", lines=_times("EventDelay", "p50", "p95")),
            Panel(title="Duration of a send", lines=_lines("Maximum", FlushDuration="send")),
        ),
    ),
)
