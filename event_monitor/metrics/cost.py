"""Cost: what the settings cost in CloudWatch each month. A pure estimate; asks nobody.

The series are counted by ``metrics_from`` itself, on a made-up snapshot in which every metric has
a value, so the estimate cannot drift from what is published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from ..distribution import Distribution
from ..settings import Settings
from ..snapshot import (
    PublisherReport,
    RunningTasks,
    Snapshot,
    TaskCounts,
    Window,
    WorkerState,
    WorkerStatus,
)
from ..survey import QueueDepth, Survey, WorkerAnswer
from ..text import aligned
from .from_snapshot import metrics_from
from .metric import Metric

__all__ = ["Cluster", "Estimate", "Saving", "bill", "estimate", "savings"]

PRICE_SOURCE = "us-east-1 list price of 2025-01 (aws.amazon.com/cloudwatch/pricing): re-check it"
#: Custom metrics, dollars per metric and month: (how many at this price, price). Billed by the
#: hour, so a series that lives for a day costs a thirtieth.
METRIC_TIERS = (
    (10_000, 0.30),
    (240_000, 0.10),
    (750_000, 0.05),
    (float("inf"), 0.02),
)
DOLLARS_PER_REQUEST = 0.01 / 1_000  # PutMetricData
DATA_PER_REQUEST = 1_000  # PutMetricData's limit
SECONDS_PER_MONTH = 30 * 86_400  # the month of AWS's own examples: 43,200 minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """How large the watched cluster is. ``tasks``: names left after include, exclude and groups."""

    tasks: int = 40
    workers: int = 10
    queues: int = 3
    exceptions: int = 10
    custom_events: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Series by how they are split (``total`` first), requests per month, and dollars."""

    series: tuple[tuple[str, int], ...]
    requests: int
    series_dollars: float
    request_dollars: float

    @property
    def series_count(self) -> int:
        """Return the number of all series together."""
        return sum(count for _, count in self.series)

    @property
    def dollars(self) -> float:
        """Return the bill of a month."""
        return self.series_dollars + self.request_dollars


@dataclass(frozen=True, slots=True)
class Saving:
    """A flag, and the dollars a month that it would save."""

    flag: str
    dollars: float


def estimate(settings: Settings, cluster: Cluster) -> Estimate:
    """Return the bill of a month in which every task and worker is seen all the time."""
    everything = replace(settings, include_tasks=(), exclude_tasks=(), groups=())
    published = metrics_from(_snapshot(cluster), everything)
    static = len(settings.dimensions)
    by_split = Counter(_split(metric, static) for metric in published)
    per_shot = ceil(len(published) / DATA_PER_REQUEST)
    requests = ceil(SECONDS_PER_MONTH / settings.interval) * per_shot
    return Estimate(
        series=tuple(by_split.items()),
        requests=requests,
        series_dollars=_series_dollars(len(published)),
        request_dollars=requests * DOLLARS_PER_REQUEST,
    )


def savings(settings: Settings, cluster: Cluster) -> tuple[Saving, ...]:
    """Return what single changes of the settings save, most first; those worth a cent or more."""
    now = estimate(settings, cluster).dollars
    found = (
        Saving(flag, now - estimate(changed, cluster).dollars)
        for flag, changed in _changes(settings)
    )
    return tuple(
        sorted(
            (saving for saving in found if saving.dollars >= 0.01),
            key=lambda saving: -saving.dollars,
        )
    )


def bill(settings: Settings, cluster: Cluster) -> str:
    """Return the estimate as text: the sum, what would lower it, and what is left out."""
    found = estimate(settings, cluster)
    rows = []
    for split, count in found.series:
        name = "series, total" if split == "total" else f"series, by {split}"
        share = found.series_dollars * count / found.series_count
        rows.append((name, f"{count:,}", _dollars(share)))
    rows.append(("requests", f"{found.requests:,}", _dollars(found.request_dollars)))
    rows.append(("a month", "", _dollars(found.dollars)))
    lines = [aligned(("", "number", "dollars"), rows, sides="lrr")]
    cheaper = [
        (saving.flag, f"-{_dollars(saving.dollars)}") for saving in savings(settings, cluster)
    ]
    if cheaper:
        lines += ["", "What would save most:"]
        lines.append(aligned(("flag", "dollars"), cheaper, sides="lr"))
    lines += [
        "",
        f"Price: {PRICE_SOURCE}.",
        "Not included: alarms ($0.10 each), dashboards ($3 each), the free tier. A series is",
        "billed for the hours in which it gets data, so names that come and go cost less.",
    ]
    return "\n".join(lines)


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}"


def _changes(settings: Settings) -> Iterator[tuple[str, Settings]]:
    yield "--by-task none", replace(settings, by_task=())
    if len(settings.by_task) > 2:
        few = ("TasksFailed", "TaskRuntime")
        yield "--by-task " + ",".join(few), replace(settings, by_task=few)
    yield "--by-queue none", replace(settings, by_queue=())
    yield "--by-worker none", replace(settings, by_worker=())
    yield "--no-by-exception", replace(settings, by_exception=False)
    if settings.interval < 60:
        yield "--interval 60", replace(settings, interval=60.0)


def _split(metric: Metric, static: int) -> str:
    return metric.dimensions[static][0] if len(metric.dimensions) > static else "total"


def _series_dollars(series: int) -> float:
    dollars, left = 0.0, float(series)
    for room, price in METRIC_TIERS:
        here = min(left, room)
        dollars += here * price
        left -= here
    return dollars


def _snapshot(cluster: Cluster) -> Snapshot:
    """Return a snapshot of such a cluster in which every metric has a value."""
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
        window=Window(
            opened_at=0.0,
            closed_at=60.0,
            tasks=tuple((name, counts) for name in names),
            by_worker=tuple((host, counts) for host in hosts),
            exceptions=tuple((f"Error{number}", 1) for number in range(cluster.exceptions)),
            custom_events=tuple((f"event-{number}", 1) for number in range(cluster.custom_events)),
            event_delay=times,
        ),
        workers=tuple(
            WorkerStatus(host, WorkerState.ONLINE, silent_seconds=0.0, active=1, load_average=1.0)
            for host in hosts
        ),
        running=tuple(RunningTasks(name, 1, oldest_seconds=1.0) for name in names),
        survey=_survey(cluster),
        publisher=PublisherReport(flush_seconds=0.1),
    )


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
                scheduled=1,
                revoked=1,
                pool_processes=4,
                memory_bytes=1,
                queues=names,
            )
            for number in range(cluster.workers)
        ),
        stalled=(),
    )
