"""Snapshot: what one shot shows. Frozen values only; nothing here changes after the shutter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from .distribution import NO_VALUES, Distribution

__all__ = [
    "OTHER",
    "UNKNOWN",
    "OrphanedTask",
    "PublisherReport",
    "QueueDepth",
    "Receipt",
    "RunningTasks",
    "Snapshot",
    "Survey",
    "TaskCounts",
    "TaskInFlight",
    "Window",
    "WorkerAnswer",
    "WorkerLoss",
    "WorkerState",
    "WorkerStatus",
    "total",
]

UNKNOWN = "unknown"  # the name of a task whose start we never saw
OTHER = "other"  # where the names beyond a bound are counted together


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """What happened to the tasks of one name (or on one worker) in one window."""

    sent: int = 0
    received: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    revoked: int = 0
    expired: int = 0  # of the revoked: expired before they started
    terminated: int = 0  # of the revoked: killed while they ran
    rejected: int = 0
    cancelled: int = 0
    runtime: Distribution = NO_VALUES
    queue_time: Distribution = NO_VALUES
    prefetch_time: Distribution = NO_VALUES


_NOTHING = TaskCounts()
_COUNTS = tuple(one.name for one in fields(TaskCounts) if one.type == "int")
_TIMES = tuple(one.name for one in fields(TaskCounts) if one.type == "Distribution")


def total(counts: Iterable[TaskCounts]) -> TaskCounts:
    """All of them as one: counts added, times merged."""
    every = tuple(counts)
    if len(every) <= 1:
        return every[0] if every else _NOTHING
    added: dict[str, Any] = {name: sum(getattr(one, name) for one in every) for name in _COUNTS}
    for name in _TIMES:
        added[name] = Distribution.merged(getattr(one, name) for one in every)
    return TaskCounts(**added)


@dataclass(frozen=True, slots=True)
class Window:
    """Everything counted between two shots; every event is in exactly one window.

    ``opened_at`` and ``closed_at`` are wall-clock seconds since the epoch. ``tasks`` has an entry
    for every known task name, in the order they were first seen, zeros included.
    """

    opened_at: float
    closed_at: float
    tasks: tuple[tuple[str, TaskCounts], ...] = ()
    by_worker: tuple[tuple[str, TaskCounts], ...] = ()
    exceptions: tuple[tuple[str, int], ...] = ()
    custom_events: tuple[tuple[str, int], ...] = ()
    event_delay: Distribution = NO_VALUES
    events_received: int = 0
    events_invalid: int = 0
    tasks_forgotten: int = 0
    names_folded: int = 0
    disconnections: int = 0
    events_lost: tuple[tuple[str, int], ...] = ()  # by worker: task-started that never came


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of messages that must be acknowledged: up to ``tag``, on connection ``session``.

    ``digests`` tell them apart from all others, should they be delivered again.
    """

    session: str
    tag: int
    digests: tuple[bytes, ...]


class WorkerState(Enum):
    """What the roster thinks of a worker."""

    ONLINE = "online"
    OFFLINE = "offline"  # said goodbye
    LOST = "lost"  # went silent


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker as its last heartbeat told. ``None`` means it never said."""

    hostname: str  # the full nodename, celery@host
    state: WorkerState
    silent_seconds: float
    pid: int | None = None
    active: int | None = None
    processed: int | None = None
    load_average: float | None = None  # over one minute
    sends_task_events: bool = True  # False: it works (`processed` grows) but no task event comes


@dataclass(frozen=True, slots=True)
class OrphanedTask:
    """A task that was running on a worker that is no more."""

    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class WorkerLoss:
    """A worker that died, or left, with what it leaves behind. Told in one snapshot only."""

    hostname: str
    silent_seconds: float
    orphans: tuple[OrphanedTask, ...] = ()
    said_goodbye: bool = False  # it left in order, and still its tasks never ended


@dataclass(frozen=True, slots=True)
class RunningTasks:
    """The tasks of one name that run now."""

    name: str
    count: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class TaskInFlight:
    """A task that has not ended, as it is learnt from a worker or kept over a restart.

    Times are wall-clock seconds since the epoch: ``running_since`` on our clock, the others on
    the clocks of those who sent the events. None is unknown, or has not happened.
    """

    uuid: str
    name: str | None
    worker: str | None = None
    pid: int | None = None
    sent_at: float | None = None
    received_at: float | None = None
    eta: float | None = None
    started_at: float | None = None
    running_since: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at one shot: the closed window, the roster, and what is running.

    ``receipts`` and ``flights`` are there only if messages have to be acknowledged: what a
    checkpoint needs to go on from here.
    """

    window: Window
    workers: tuple[WorkerStatus, ...] = ()
    losses: tuple[WorkerLoss, ...] = ()
    running: tuple[RunningTasks, ...] = ()
    waiting: tuple[tuple[str, float], ...] = ()  # queue, age in seconds of its oldest sent task
    connected: bool = True  # False: the broker is away; workers are not judged meanwhile
    heard: bool = True  # False: it was never heard yet, and of workers nothing is known
    tasks_in_flight: int = 0
    receipts: tuple[Receipt, ...] = ()
    flights: tuple[TaskInFlight, ...] = ()


@dataclass(frozen=True, slots=True)
class PublisherReport:
    """What the publisher has to say of itself since it was last asked."""

    failures: int = 0  # sends that failed
    ambiguous: int = 0  # of these: may have been applied all the same
    dropped: int = 0  # data that will never arrive
    flush_seconds: float | None = None  # how long the last send took; None before the first


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One queue as the broker told. ``None`` means that it could not be found out."""

    name: str
    ready: int | None = None  # messages waiting, of every priority
    unacked: int | None = None  # messages with a worker, not acknowledged yet
    consumers: int | None = None
    oldest_seconds: float | None = None  # since the oldest waiting message was published
    arrivals_per_second: float | None = None
    deliveries_per_second: float | None = None
    memory_bytes: int | None = None
    sampled: bool = False  # `unacked` is an estimate, from a part of what was too much to read


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """One worker as it answered when asked. ``None`` means that it did not answer this."""

    hostname: str  # the full nodename, celery@host
    active: int | None = None
    reserved: int | None = None  # received, not begun, no eta to wait for
    scheduled: int | None = None  # waiting for their eta or countdown
    revoked: int | None = None  # ids held as revoked
    pool_processes: int | None = None  # tasks it can run at once
    memory_bytes: int | None = None  # the main process's peak resident memory
    processed: tuple[tuple[str, int], ...] = ()  # task name → begun since the worker started
    queues: tuple[str, ...] | None = None  # it consumes from these


@dataclass(frozen=True, slots=True)
class Survey:
    """The last complete answers of broker and workers, and how old they are.

    ``queues`` and ``workers`` are None when nothing is known: never asked, or too long ago.
    """

    queues: tuple[QueueDepth, ...] | None = None
    queues_age_seconds: float | None = None
    ready_growth_per_second: float | None = None  # of all queues, between the last two answers
    workers: tuple[WorkerAnswer, ...] | None = None
    workers_age_seconds: float | None = None
    stalled: tuple[str, ...] | None = None  # workers that beat but do nothing, while work waits
    failures: int = 0  # questions that failed since the last survey was taken
