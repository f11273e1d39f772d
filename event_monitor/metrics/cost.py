"""Cost: what the settings cost in CloudWatch each month. A pure estimate; asks nobody.

The series are counted by ``metrics_from`` itself, on a made-up snapshot in which every metric has
a value, so the estimate cannot drift from what is published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from ..catalog import spec
from ..distribution import Distribution
from ..errors import SettingsError
from ..settings import Settings
from ..snapshot import (
    UNKNOWN,
    ExceptionCounts,
    MissingTasks,
    ObjectiveStatus,
    PublisherReport,
    RunningTasks,
    ScheduledTask,
    Snapshot,
    TaskCounts,
    Window,
    WorkerState,
    WorkerStatus,
)
from ..survey import QueueDepth, Survey, WorkerAnswer
from .from_snapshot import metrics_from
from .metric import Metric
from .prices import (
    DATA_PER_REQUEST,
    DOLLARS_PER_REQUEST,
    SECONDS_PER_MONTH,
    Provisioned,
    series_dollars,
)

__all__ = [
    "Cluster",
    "Estimate",
    "ProvisionedBy",
    "Saving",
    "estimate",
    "nothing_provisioned",
    "savings",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How large the watched cluster is. ``tasks``: names left after include, exclude and groups."""

    tasks: int = 40
    workers: int = 10
    queues: int = 3
    exceptions: int = 10
    custom_events: int = 0
    periodic_tasks: int = 1


@dataclass(frozen=True, slots=True)
class Estimate:
    """Series by how they are split (``total`` first), requests per month, and dollars."""

    series: tuple[tuple[str, int], ...]
    requests: int
    series_dollars: float
    request_dollars: float
    provisioned: Provisioned = field(default_factory=Provisioned)

    @property
    def series_count(self) -> int:
        """Return the number of all series together."""
        return sum(count for _, count in self.series)

    @property
    def dollars(self) -> float:
        """Return the bill of a month."""
        provisioned = sum(dollars for _, _, dollars in self.provisioned.rows)
        return self.series_dollars + self.request_dollars + provisioned

    @property
    def about(self) -> str:
        """Return the bill as a person says it: ``about $91 a month``."""
        return f"about ${self.dollars:,.0f} a month"


@dataclass(frozen=True, slots=True)
class Saving:
    """A flag, and the dollars a month that it would save."""

    flag: str
    dollars: float


#: Gives the alarms and dashboards that go with the settings.
ProvisionedBy = Callable[[Settings], Provisioned]


def nothing_provisioned(_settings: Settings) -> Provisioned:
    """Return neither alarms nor dashboards."""
    return Provisioned()


def estimate(
    settings: Settings, cluster: Cluster, *, provisioned_by: ProvisionedBy = nothing_provisioned
) -> Estimate:
    """Return the bill of a month in which every task and worker is seen all the time."""
    everything = replace(settings, include_tasks=(), exclude_tasks=(), groups=())
    published = [
        metric
        for metric in metrics_from(_snapshot(cluster, settings), everything)
        if all(getattr(settings, need) for need in spec(metric.name).needs)
    ]
    static = len(settings.dimensions)
    by_split = Counter(_split(metric, static) for metric in published)
    per_shot = ceil(len(published) / DATA_PER_REQUEST)
    shots = ceil(SECONDS_PER_MONTH / settings.interval)
    requests = 0 if settings.sink == "emf" else shots * per_shot
    return Estimate(
        series=tuple(by_split.items()),
        requests=requests,
        series_dollars=series_dollars(len(published)),
        request_dollars=requests * DOLLARS_PER_REQUEST,
        provisioned=provisioned_by(settings),
    )


def savings(
    settings: Settings, cluster: Cluster, *, provisioned_by: ProvisionedBy = nothing_provisioned
) -> tuple[Saving, ...]:
    """Return what single changes of the settings save, most first; those worth a cent or more."""
    now = estimate(settings, cluster, provisioned_by=provisioned_by).dollars
    found = []
    for flag, changed in _changes(settings):
        try:
            then = estimate(changed, cluster, provisioned_by=provisioned_by).dollars
        except SettingsError:
            continue  # an alarm that is asked for needs what this takes away
        if now - then >= 0.01:
            found.append(Saving(flag, now - then))
    return tuple(sorted(found, key=lambda saving: -saving.dollars))


def _changes(settings: Settings) -> Iterator[tuple[str, Settings]]:
    yield "--by-task none", replace(settings, by_task=())
    if len(settings.by_task) > 2:
        few = ("TasksFailed", "TaskRuntime")
        yield "--by-task " + ",".join(few), replace(settings, by_task=few)
    yield "--by-queue none", replace(settings, by_queue=())
    yield "--by-worker none", replace(settings, by_worker=())
    yield "--no-by-exception", replace(settings, by_exception=False)
    yield "--no-by-task-and-exception", replace(settings, by_task_and_exception=False)
    yield "--no-by-schedule", replace(settings, by_schedule=False)
    if settings.interval < 60:
        yield "--interval 60", replace(settings, interval=60.0)
    if settings.high_resolution:
        yield "--no-high-resolution", replace(settings, high_resolution=False)


def _split(metric: Metric, static: int) -> str:
    return " and ".join(name for name, _ in metric.dimensions[static:]) or "total"


def _snapshot(cluster: Cluster, settings: Settings) -> Snapshot:
    """Return a snapshot of such a cluster and the settings' service levels, all of it known."""
    times = Distribution((1.0,), (1,))
    counts = TaskCounts(
        runtime=times,
        queue_time=times,
        prefetch_time=times,
        failed_runtime=times,
        total_time=times,
        retries=times,
    )
    names = [f"task-{number}" for number in range(cluster.tasks)]
    hosts = [f"celery@worker-{number}" for number in range(cluster.workers)]
    return Snapshot(
        standbys=1,
        window=Window(
            opened_at=0.0,
            closed_at=60.0,
            tasks=tuple((name, counts) for name in names),
            by_worker=tuple((host, counts) for host in hosts),
            by_queue=tuple((f"queue-{number}", counts) for number in range(cluster.queues)),
            exceptions=tuple(_exceptions(cluster, names or [UNKNOWN])),
            custom_events=tuple((f"event-{number}", 1) for number in range(cluster.custom_events)),
            event_delay=times,
            events_dropped=0,
        ),
        workers=tuple(
            WorkerStatus(host, WorkerState.ONLINE, silent_seconds=0.0, active=1, load_average=1.0)
            for host in hosts
        ),
        running=tuple(RunningTasks(name, 1, oldest_seconds=1.0) for name in names),
        scheduled=tuple(
            ScheduledTask(f"periodic-{number}", seen_at=0.0, due_at=60.0)
            for number in range(cluster.periodic_tasks)
        ),
        objectives=tuple(
            ObjectiveStatus(objective.name, good=1, total=1, budget_left=100.0)
            for objective in settings.objectives
        ),
        survey=_survey(cluster),
        missing=MissingTasks(),
        publisher=PublisherReport(flush_seconds=0.1),
    )


def _exceptions(cluster: Cluster, names: Sequence[str]) -> Iterator[ExceptionCounts]:
    """Yield every exception and every task once at least: few tasks raise all of them."""
    if cluster.exceptions:
        for number in range(max(cluster.exceptions, len(names))):
            name, exception = names[number % len(names)], f"Error{number % cluster.exceptions}"
            yield ExceptionCounts(name, "queue-0", exception, failed=1, retried=1)


def _survey(cluster: Cluster) -> Survey:
    """Return the answers of its broker and workers; RabbitMQ's management API knows all of this."""
    names = tuple(f"queue-{number}" for number in range(cluster.queues))
    return Survey(
        queues=tuple(
            QueueDepth(
                name,
                ready=1,
                unacked=1,
                consumers=1,
                oldest_seconds=1.0,
                arrivals_per_second=1.0,
                deliveries_per_second=2.0,
            )
            for name in names
        ),
        workers=tuple(
            WorkerAnswer(
                f"celery@worker-{number}",
                active=1,
                reserved=1,
                scheduled=0,  # else the backlog of one queue of several is not known
                revoked=1,
                pool_processes=4,
                memory_bytes=1,
                queues=names,
            )
            for number in range(cluster.workers)
        ),
        stalled=(),
        event_queue_length=0,
    )
