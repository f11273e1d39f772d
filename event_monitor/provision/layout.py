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


#: In the order in which a person on call asks: is it up, does work flow, how long does it take,
#: which task, what waits, who works, and can the monitor be believed.
_SECTIONS: tuple[Section, ...] = (
    Section(
        title="Now",
        panels=(
            Panel(
                title="Now",
                kind="numbers",
                height=3,
                lines=(
                    Line(metric="BrokerConnected", statistic="Minimum", label="broker connected"),
                    Line(metric="WorkersOnline", statistic="Minimum", label="workers online"),
                    Line(metric="WorkerUtilization", statistic="Maximum", label="workers busy"),
                    *_lines(
                        "Maximum",
                        TasksRunning="tasks running",
                        OldestRunningTaskAge="longest run",
                        QueueLength="messages waiting",
                        OldestMessageAge="oldest message",
                        TimeToEmpty="time to empty",
                    ),
                ),
            ),
        ),
    ),
    Section(
        title="Traffic",
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
            ),
            Panel(
                title="Failures, % of the tasks that end",
                lines=_lines("Sum", TasksFailed="failed", TasksSucceeded="succeeded"),
                expression="IF((m0+m1)>0, 100*m0/(m0+m1), 0)",
            ),
            Panel(
                title="Retries, % of the runs that end",
                lines=_lines(
                    "Sum", TasksRetried="retried", TasksFailed="failed", TasksSucceeded="succeeded"
                ),
                expression="IF((m0+m1+m2)>0, 100*m0/(m0+m1+m2), 0)",
            ),
            Panel(
                title="Exhausted retries, % of the tasks that end",
                lines=_lines(
                    "Sum",
                    TasksExhausted="exhausted",
                    TasksFailed="failed",
                    TasksSucceeded="succeeded",
                ),
                expression="IF((m1+m2)>0, 100*m0/(m1+m2), 0)",
            ),
            Panel(
                title="Tasks that only fail",
                lines=_lines("Maximum", TaskNamesFailing="task names"),
            ),
            Panel(
                title="Retries of a task that needed some",
                lines=_percentiles("p50", "p95", metric="TaskRetries"),
            ),
            Panel(
                title="Recovered by a retry, or not",
                lines=_lines("Sum", TasksRecovered="recovered", TasksExhausted="exhausted"),
            ),
            Panel(
                title="Periodic tasks overdue",
                lines=_lines("Maximum", ScheduleOverdue="overdue"),
            ),
            Panel(
                title="Tasks that run twice",
                lines=_lines("Sum", TasksRedelivered="redelivered", TasksDuplicated="duplicated"),
            ),
            Panel(
                title="Tasks that end otherwise",
                lines=_lines(
                    "Sum",
                    TasksRevoked="revoked",
                    TasksRejected="rejected",
                    TasksVanished="vanished",
                    TasksOrphaned="orphaned",
                    TasksMissing="missing",
                ),
            ),
        ),
    ),
    Section(
        title="Times",
        panels=(
            Panel(title="Runtime", lines=_percentiles("p50", "p95", "p99", metric="TaskRuntime")),
            Panel(
                title="Wait in the queue",
                lines=_percentiles("p50", "p95", "p99", metric="TaskQueueTime"),
            ),
            Panel(
                title="From publishing to the end",
                lines=_percentiles("p50", "p95", "p99", metric="TaskTotalTime"),
            ),
            Panel(
                title="Runs that failed",
                lines=_percentiles("p50", "p95", "p99", metric="TaskFailedRuntime"),
            ),
            Panel(
                title="Longest run that has not ended",
                lines=_lines("Maximum", OldestRunningTaskAge="longest run"),
            ),
        ),
    ),
    Section(
        title="Service levels",
        panels=(
            Panel(
                title="Error budget left, the worst",
                lines=(Line(metric="SloBudgetLeft", statistic="Minimum", label="left"),),
            ),
            Panel(
                title="Error budget left by service level",
                lines=(Line(metric="SloBudgetLeft", statistic="Minimum", label="left"),),
                split="SloName",
            ),
            Panel(
                title="Gone wrong, % of all service levels",
                lines=_lines("Sum", SloGood="good", SloTotal="all"),
                expression="IF(m1>0, 100*(m1-m0)/m1, 0)",
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
                title="Chosen task: how it ends",
                lines=_lines(
                    "Sum", TasksSucceeded="succeeded", TasksFailed="failed", TasksRetried="retried"
                ),
                split="TaskName",
                chosen=True,
            ),
            Panel(
                title="Chosen task: runtime",
                lines=_percentiles("p50", "p95", "p99", metric="TaskRuntime"),
                split="TaskName",
                chosen=True,
            ),
            Panel(
                title="Chosen task: wait in the queue",
                lines=_percentiles("p50", "p95", "p99", metric="TaskQueueTime"),
                split="TaskName",
                chosen=True,
            ),
        ),
    ),
    Section(
        title="Queues",
        panels=(
            Panel(
                title="Messages waiting in all queues",
                lines=_lines("Maximum", QueueLength="waiting", QueueUnacked="with workers"),
            ),
            Panel(
                title="Age of the oldest message of all",
                lines=_lines("Maximum", OldestMessageAge="age"),
            ),
            Panel(
                title="Messages in and out of all queues",
                lines=_lines("Maximum", ArrivalRate="in", DrainRate="out"),
            ),
            _queue_graph(title="Messages waiting by queue", metric="QueueLength"),
            _queue_graph(title="Age of the oldest message by queue", metric="OldestMessageAge"),
            _queue_graph(title="Backlog per pool process by queue", metric="BacklogPerWorker"),
            Panel(
                title="Queues that nobody reads",
                lines=_lines("Maximum", QueuesUnread="queues"),
            ),
            Panel(
                title="Worst status: 1 warning, 2 critical",
                lines=_lines("Maximum", QueueStatus="status"),
            ),
            Panel(
                title="Chosen queue: messages",
                lines=_lines(
                    "Maximum",
                    QueueLength="waiting",
                    QueueUnacked="with workers",
                    BacklogPerWorker="backlog per process",
                ),
                split="QueueName",
                chosen=True,
            ),
            Panel(
                title="Chosen queue: age of the oldest message",
                lines=_lines("Maximum", OldestMessageAge="age"),
                split="QueueName",
                chosen=True,
            ),
        ),
    ),
    Section(
        title="Workers",
        panels=(
            Panel(
                title="Workers online",
                lines=(Line(metric="WorkersOnline", statistic="Minimum", label="online"),),
            ),
            Panel(
                title="Workers lost and stalled",
                lines=(
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
        ),
    ),
    Section(
        title="The monitor",
        panels=(
            Panel(
                title="Heartbeats of the monitor",
                lines=_lines("Sum", MonitorHeartbeat="heartbeats"),
            ),
            Panel(
                title="Monitors that stand by",
                lines=_lines("Minimum", MonitorStandby="standing by"),
            ),
            Panel(
                title="Connected to the broker",
                lines=_lines("Minimum", BrokerConnected="connected"),
            ),
            Panel(title="Events", lines=_lines("Sum", EventsReceived="received")),
            Panel(
                title="Messages that wait for the monitor",
                lines=_lines("Maximum", EventQueueLength="waiting"),
            ),
            Panel(
                title="Losses",
                lines=_lines(
                    "Sum",
                    EventsLost="events lost",
                    EventsDropped="events dropped",
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
            Panel(title="Metrics unsent", lines=_lines("Maximum", SpoolMetrics="unsent")),
            Panel(
                title="Age of the oldest metric unsent",
                lines=_lines("Maximum", SpoolAge="oldest"),
            ),
            Panel(
                title="Delay of events, duration of a send",
                lines=(
                    Line(metric="EventDelay", statistic="p50", label="delay p50"),
                    Line(metric="EventDelay", statistic="p95", label="delay p95"),
                    Line(metric="FlushDuration", statistic="Maximum", label="send"),
                ),
            ),
        ),
    ),
)
