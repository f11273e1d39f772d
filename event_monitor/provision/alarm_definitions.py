"""Rules: each alarm once, before names, periods and dimensions. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..settings import Settings
from .model import Comparison, Missing
from .options import Choices, QueueEntry, TaskEntry

__all__ = ["Rule", "of_cluster", "of_queue", "of_task"]

_NoData = tuple[Missing, str]  # what no data is taken for, and why

_QUIET: _NoData = (
    "notBreaching",
    "No data is no trouble of this kind; the alarm monitor-dead sees that.",
)
_MISSED: _NoData = (
    "breaching",
    "No data is taken for trouble: nobody knows that workers are there.",
)
_DEAD: _NoData = ("breaching", "No data is the very thing it is for.")
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Rule:
    """When ``metrics`` are trouble, in ``of`` (M, N) periods. ``threshold`` None: not wanted.

    ``expression`` is over the ids m0, m1, … of the metrics; without it there is one metric.
    """

    kind: str
    what: str
    metrics: tuple[str, ...]
    comparison: Comparison
    threshold: float | None
    of: tuple[int, int] = (3, 5)
    missing: _NoData = _QUIET
    expression: str = ""
    statistic: str = ""  # the catalog's unless given


def of_cluster(settings: Settings, choices: Choices) -> Iterator[Rule]:
    """The alarms of the whole cluster, the most urgent first."""
    yield Rule(
        "monitor-dead",
        "The monitor publishes nothing: it is dead, cut off from CloudWatch, or not allowed to.",
        ("MonitorHeartbeat",),
        "<",
        1,
        (3, 3),
        _DEAD,
    )
    yield Rule(
        "broker-lost",
        "The monitor does not hear the broker; what happens meanwhile may never be counted.",
        ("BrokerConnected",),
        "<",
        1,
    )
    yield Rule(
        "too-few-workers",
        f"Fewer than {choices.workers_at_least} workers are online.",
        ("WorkersOnline",),
        "<",
        choices.workers_at_least or None,
        missing=_MISSED,
    )
    yield Rule(
        "failure-rate",
        f"More than {choices.max_failures:g} % of the tasks that end, end in failure "
        f"(looked at only while at least {choices.min_tasks} end in a period).",
        ("TasksFailed", "TasksSucceeded"),
        ">",
        choices.max_failures or None,
        expression=_percent("m0", "m0+m1", choices.min_tasks),
    )
    yield Rule(
        "retry-rate",
        f"More than {choices.max_retries:g} % of the runs end in a retry "
        f"(looked at only while at least {choices.min_tasks} end in a period).",
        ("TasksRetried", "TasksFailed", "TasksSucceeded"),
        ">",
        choices.max_retries or None,
        expression=_percent("m0", "m0+m1+m2", choices.min_tasks),
    )
    yield Rule(
        "workers-lost",
        "A worker died without a goodbye.",
        ("WorkersLost",),
        ">",
        0,
        (1, 5),  # a death is counted in one period only
    )
    yield Rule(
        "tasks-orphaned",
        "Tasks were running on a worker when it died; unless acks_late is set they are gone.",
        ("TasksOrphaned",),
        ">",
        0,
        (1, 5),
    )
    yield Rule(
        "workers-stalled",
        "A worker beats but begins nothing, while work waits in its queues.",
        ("WorkersStalled",),
        ">",
        0,
    )
    yield Rule(
        "oldest-message",
        f"In some queue a message has waited for more than {choices.max_age:.10g} seconds.",
        ("OldestMessageAge",),
        ">",
        choices.max_age or None,
    )
    yield Rule(
        "queue-length",
        f"More than {choices.max_length:.10g} messages wait, all queues together.",
        ("QueueLength",),
        ">",
        choices.max_length or None,
        (5, 5),  # a burst that drains is no trouble
    )
    if settings.queue_length_limits or settings.queue_age_limits:
        yield Rule(
            "queue-critical",
            "Some queue is critical by queue_length_limits or queue_age_limits.",
            ("QueueStatus",),
            ">=",
            2,
        )
    yield Rule(
        "tasks-reserved",
        f"Workers hold more than {choices.max_reserved:.10g} tasks they have not begun: they are "
        "clogged, or worker_prefetch_multiplier is too high.",
        ("TasksReserved",),
        ">",
        choices.max_reserved or None,
    )
    yield Rule(
        "worker-memory",
        f"A worker's main process has used more than {choices.max_memory:g} MiB. It is the peak: "
        "it falls only when the worker is restarted.",
        ("WorkerMemory",),
        ">",
        choices.max_memory * _MEBIBYTE or None,
    )
    yield Rule(
        "events-lost",
        "Task events of the workers did not arrive: counts are too low.",
        ("EventsLost",),
        ">",
        0,
    )
    yield Rule(
        "publish-failures",
        "The monitor's sends to CloudWatch fail; what they hold is kept and sent again.",
        ("PublishFailures",),
        ">",
        0,
    )
    yield Rule(
        "data-dropped",
        "Data of the monitor will never arrive: it was refused, or the spool was full.",
        ("DatumsDropped",),
        ">",
        0,
        (1, 5),
    )


def of_queue(queue: QueueEntry) -> Iterator[Rule]:
    """The alarms of one queue."""
    if queue.max_age is not None:
        yield Rule(
            "oldest-message",
            f"A message has waited in this queue for more than {queue.max_age:.10g} seconds.",
            ("OldestMessageAge",),
            ">",
            queue.max_age,
        )
    if queue.max_length is not None:
        yield Rule(
            "queue-length",
            f"More than {queue.max_length:.10g} messages wait in this queue.",
            ("QueueLength",),
            ">",
            queue.max_length,
            (5, 5),
        )


def of_task(task: TaskEntry, choices: Choices) -> Iterator[Rule]:
    """The alarms of one task."""
    if task.p95 is not None:
        yield Rule(
            "runtime-p95",
            f"One in twenty runs of this task takes longer than {task.p95:g} seconds. "
            "Few runs count as well as many.",
            ("TaskRuntime",),
            ">",
            task.p95,
            statistic="p95",
        )
    if task.failures is not None:
        yield Rule(
            "failure-rate",
            f"More than {task.failures:g} % of the ends of this task are failures "
            f"(looked at only while at least {choices.min_tasks} end in a period).",
            ("TasksFailed", "TasksSucceeded"),
            ">",
            task.failures,
            expression=_percent("m0", "m0+m1", choices.min_tasks),
        )


def _percent(part: str, whole: str, at_least: int) -> str:
    """0 while too little happens for a percentage to mean anything, and never a division by 0."""
    return f"IF(({whole})>={max(1, at_least)}, 100*{part}/({whole}), 0)"
