"""Snapshot: what one shot shows. Frozen values only; nothing here changes after the shutter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Literal, NamedTuple

from .distribution import NO_VALUES, Distribution
from .survey import NOT_ASKED, Survey, WorkerAnswer

__all__ = [
    "OTHER",
    "UNKNOWN",
    "AckToken",
    "BrokerLink",
    "EndedTask",
    "ExpectedTask",
    "ExpectedTasks",
    "FailingTask",
    "Live",
    "MissingTask",
    "MissingTasks",
    "OrphanedTask",
    "PublisherReport",
    "Role",
    "RunningTask",
    "RunningTasks",
    "ScheduledTask",
    "Snapshot",
    "TaskCounts",
    "TaskInFlight",
    "UnreceivedTasks",
    "VanishedTask",
    "Window",
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
    vanished: int = 0  # given up: the worker runs it no more, and no event told its end
    recovered: int = 0  # of the succeeded: after a retry
    exhausted: int = 0  # of the failed: after a retry
    redelivered: int = 0  # of the started: once more, though no retry was asked for
    duplicated: int = 0  # redelivered, and ended though another run of it had ended before
    runtime: Distribution = NO_VALUES
    queue_time: Distribution = NO_VALUES
    prefetch_time: Distribution = NO_VALUES
    failed_runtime: Distribution = NO_VALUES
    total_time: Distribution = NO_VALUES
    retries: Distribution = NO_VALUES  # of those that ended after a retry: how many
    # Seconds → how many of the queue times were no longer; of the times that objectives name, and
    # of infinity: of all whose objective is about the start.
    on_time: tuple[tuple[float, int], ...] = ()


_NOTHING = TaskCounts()
_TIMES = ("runtime", "queue_time", "prefetch_time", "failed_runtime", "total_time", "retries")
_COUNTS = tuple(
    field.name for field in fields(TaskCounts) if field.name not in (*_TIMES, "on_time")
)


def total(counts: Iterable[TaskCounts]) -> TaskCounts:
    """Add them up: counts are summed, times merged."""
    parts = tuple(counts)
    if len(parts) <= 1:
        return parts[0] if parts else _NOTHING
    added: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in _COUNTS}
    for name in _TIMES:
        added[name] = Distribution.merged(getattr(part, name) for part in parts)
    on_time: dict[float, int] = {}
    for part in parts:
        for seconds, count in part.on_time:
            on_time[seconds] = on_time.get(seconds, 0) + count
    return TaskCounts(**added, on_time=tuple(on_time.items()))


@dataclass(frozen=True, slots=True)
class ExceptionCounts:
    """How often tasks of one name, from one queue, raised one class of exception."""

    task: str
    queue: str
    exception: str
    failed: int = 0  # of the failed tasks
    retried: int = 0  # of the runs that ended in a retry
    worker: str | None = None  # None: on whichever, or on one that is not known


@dataclass(frozen=True, slots=True)
class VanishedTask:
    """A task that was running, and whose worker said later that it runs nothing."""

    uuid: str
    name: str
    worker: str | None


@dataclass(frozen=True, slots=True)
class Window:
    """Everything counted between two shots; every event is in exactly one window.

    ``opened_at`` and ``closed_at`` are wall-clock seconds since the epoch. ``tasks`` has an entry
    for every known task name, in the order they were first seen, zeros included; the others have
    what was counted only. ``by_task_and_queue`` is kept only if `slo` or `http` is set, and
    has times only if `http` is. A queue is ``unknown`` where nothing tells it. ``exceptions`` are
    counted if they were asked for; they are by worker, and there is a ``by_task_queue_and_worker``,
    if `http_hostname_label` needs it.
    """

    opened_at: float
    closed_at: float
    tasks: tuple[tuple[str, TaskCounts], ...] = ()
    by_worker: tuple[tuple[str, TaskCounts], ...] = ()
    by_queue: tuple[tuple[str, TaskCounts], ...] = ()
    by_task_and_queue: tuple[tuple[str, str, TaskCounts], ...] = ()  # name, queue
    by_task_queue_and_worker: tuple[tuple[str, str, str | None, TaskCounts], ...] = ()
    exceptions: tuple[ExceptionCounts, ...] = ()
    custom_events: tuple[tuple[str, int], ...] = ()
    event_delay: Distribution = NO_VALUES
    events_received: int = 0
    events_invalid: int = 0
    events_dropped: int | None = None  # by their senders; None where these do not tell
    messages_doubtful: int = 0  # over SQS: another monitor, which has gone, may have counted them
    tasks_forgotten: int = 0
    vanished: tuple[VanishedTask, ...] = ()  # the first of them; ``TaskCounts`` counts them all
    names_folded: int = 0
    disconnections: int = 0
    events_lost: tuple[tuple[str, int], ...] = ()  # by worker: task-started that never came


@dataclass(frozen=True, slots=True)
class AckToken:
    """Messages that must be acknowledged: all up to ``tag``, on the connection ``session``.

    ``digests`` tell them apart from all others, should they be delivered again. Over SQS their
    senders do: ``positions`` are, of each sender, its next message and the events it had dropped;
    ``dropped`` are those that were not told of before. ``doubtful`` messages may have been counted
    by another monitor, which has gone. Nobody else gets any before ``ours_until``, by our monotonic
    clock.
    """

    session: str
    tag: int
    digests: tuple[bytes, ...] = ()
    positions: tuple[tuple[str, int, int], ...] = ()
    dropped: int = 0
    doubtful: int = 0
    ours_until: float = field(default=0.0, compare=False)


class WorkerState(Enum):
    """How the roster judges a worker."""

    ONLINE = "online"
    OFFLINE = "offline"  # said goodbye
    LOST = "lost"  # went silent


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker as of its last heartbeat. ``None`` means that it never said."""

    hostname: str  # the full nodename, celery@host
    state: WorkerState
    silent_seconds: float
    pid: int | None = None
    active: int | None = None
    processed: int | None = None
    load_average: float | None = None  # over one minute
    sends_task_events: bool = True  # False: it works (`processed` grows) but no task event comes
    sends_heartbeats: bool = True  # False: it is judged by its answers
    is_shared: bool = False  # several live processes have this name
    processes: int = 1  # as far as they can be told apart; more only if the name is shared
    draining: int = 0  # tasks that it runs still, though it said goodbye
    answer: WorkerAnswer | None = None  # what it says unasked, in its heartbeats, if it does
    answer_age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class OrphanedTask:
    """A task that was running on a worker which is gone."""

    uuid: str
    name: str
    root: str | None = None  # as those of an ``EndedTask``
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerLoss:
    """A worker that died, or left, and the tasks it left unfinished. In one snapshot only."""

    hostname: str
    silent_seconds: float
    orphans: tuple[OrphanedTask, ...] = ()
    said_goodbye: bool = False  # it shut down gracefully, and still its tasks never ended


@dataclass(frozen=True, slots=True)
class FailingTask:
    """A task name of which nothing but failures has come lately, and how many."""

    name: str
    failures: int


@dataclass(frozen=True, slots=True)
class ScheduledTask:
    """A task name that a schedule expects. Times are wall-clock seconds since the epoch.

    ``seen_at``: None if it never was; then it is not overdue, whatever ``overdue_seconds`` says.
    ``due_at`` is its next time, and ``overdue_seconds`` how long that and a grace are over.
    """

    name: str
    seen_at: float | None
    due_at: float
    overdue_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ObjectiveStatus:
    """How well a service level was kept in one window, and what is left of its error budget.

    ``good`` of ``total`` runs or tasks went well. ``budget_left`` is in percent of those that may
    go wrong in 30 days at so many as there were: below 0 if more did.
    """

    name: str
    good: int
    total: int
    budget_left: float


@dataclass(frozen=True, slots=True)
class RunningTasks:
    """The tasks of one name that are running."""

    name: str
    count: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class TaskInFlight:
    """A task that has not ended, as a worker reported it or a checkpoint kept it.

    Times are wall-clock seconds since the epoch: ``running_since`` on our clock, the others on
    the clocks of those who sent the events. None is unknown, or has not happened. ``first_at`` is
    when it was sent, or received first, and ``retries`` how many were asked for since.
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
    first_at: float | None = None
    retries: int = 0
    queue: str | None = None  # it was sent to


class EndedTask(NamedTuple):
    """A task that ended, for ``TaskConsumer``s, or a run of one that ended in a retry.

    A named tuple, to be made with keywords only: it takes half the time of a frozen dataclass, and
    when everything fails there are thousands a second. Made after the state's lock is released.

    Times are wall-clock seconds since the epoch, by the clocks of those who sent the events. None
    is unknown, or never happened. ``sent`` and ``received`` are those of the first run, ``started``
    that of the last.

    ``details`` has what the setting ``history_details`` asks for, by name: JSON as it came, neither
    decoded nor validated.
    """

    id: str
    name: str | None
    how: Literal["succeeded", "failed", "retried", "revoked", "rejected"]
    ended: float
    queue: str | None = None  # it came from, as far as that is known
    worker: str | None = None  # the nodename of the worker that ended it
    sent: float | None = None
    received: float | None = None
    started: float | None = None
    retries: int = 0  # runs that ended in a retry
    runtime: float | None = None  # seconds, as the worker says of a task that succeeded
    exception: str | None = None  # the class of what a run raised that failed or is retried
    place: str | None = None  # the innermost frame of the app's own code, where it was raised
    root: str | None = None  # the id of the first task that it descends from, and
    parent: str | None = None  # of the last; with a history, if it descends from any
    weight: float = 1.0  # how many of its kind it stands for, where only a sample is wanted
    details: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class UnreceivedTasks:
    """The tasks that were sent to one queue and, as far as events report, not received yet.

    ``since`` is when the oldest was sent, or its eta if that is later: wall-clock seconds since the
    epoch, by its producer's clock. None if there is no task.
    """

    count: int
    since: float | None = None


class ExpectedTask(NamedTuple):
    """A task that has to come out of a queue yet.

    ``heard_at`` is when its task-sent came, and ``due_at`` from when on it may be taken: later only
    if it has an eta. Both are on our monotonic clock.
    """

    uuid: str
    heard_at: float
    due_at: float


class ExpectedTasks(NamedTuple):
    """The tasks that have to come out of one queue yet, and how many of them did so before."""

    taken: int
    tasks: tuple[ExpectedTask, ...]


@dataclass(frozen=True, slots=True)
class MissingTask:
    """A task that was sent to a queue, and is neither there nor anywhere else.

    ``sent_at`` is wall-clock seconds since the epoch, by its producer's clock.
    """

    uuid: str
    name: str
    queue: str
    sent_at: float


@dataclass(frozen=True, slots=True)
class MissingTasks:
    """The tasks that were found to be missing; in one snapshot only.

    ``counts`` has each task name once, and ``named`` are the first of the tasks. ``returned`` were
    found missing earlier, and came after all; nothing is taken back for them.
    """

    counts: tuple[tuple[str, int], ...] = ()
    named: tuple[MissingTask, ...] = ()
    returned: tuple[MissingTask, ...] = ()

    @property
    def count(self) -> int:
        """Return how many there are."""
        return sum(count for _, count in self.counts)


class BrokerLink(Enum):
    """Whether the events of the workers reach us. Workers are judged only while LISTENING."""

    CONNECTING = "connecting"  # nothing was received yet, and of workers nothing is known
    SUBSCRIBED = "subscribed"  # connected, but nothing has come from the durable queue yet
    STANDBY = (
        "standby"  # the same, and another monitor reads it: it has our own event, or the lease
    )
    LISTENING = "listening"  # connected, and events come to us
    AWAY = "away"  # the broker was lost; what was known of the workers gets older

    @property
    def is_connected(self) -> bool:
        """Return whether there is a connection."""
        return self.awaits_queue or self is BrokerLink.LISTENING

    @property
    def awaits_queue(self) -> bool:
        """Return whether nothing has come from the durable queue since we are connected."""
        return self in (BrokerLink.SUBSCRIBED, BrokerLink.STANDBY)

    @property
    def has_listened(self) -> bool:
        """Return whether what no event has reported can be taken for not being so."""
        return self in (BrokerLink.LISTENING, BrokerLink.AWAY)

    def lost(self) -> BrokerLink:
        """Return the state after the connection has gone."""
        return BrokerLink.AWAY if self.has_listened else BrokerLink.CONNECTING


class Role(Enum):
    """What we are among the monitors that would publish the same."""

    UNDECIDED = "undecided"  # nobody has said yet
    LEADER = "leader"  # we publish, and no other does
    STANDBY = "standby"  # another publishes
    ALONE = "alone"  # nothing tells monitors apart here: we publish, whoever else does

    @property
    def publishes(self) -> bool:
        """Return whether we do, as far as is known."""
        return self is not Role.STANDBY


@dataclass(frozen=True, slots=True)
class PublisherReport:
    """What the publisher did since it was last asked, and what it has still to send."""

    failures: int = 0  # sends that failed
    ambiguous: int = 0  # of these: may have been applied all the same
    dropped: int = 0  # data that will never arrive
    flush_seconds: float | None = None  # how long the last send took; None before the first
    unsent: int = 0  # metrics
    unsent_seconds: float = 0.0  # since the oldest of these were kept


@dataclass(frozen=True, slots=True)
class PublisherActivity:
    """What the publisher does at this moment, for the sign of life.

    ``sending_seconds``: how long the present request has been under way; None while there is none.
    ``deadline_seconds``: how long one may take. ``accepted_at``: when metrics were accepted last,
    None if they never were; ``started_at``: when it began. Both are wall-clock seconds.
    """

    sending_seconds: float | None
    deadline_seconds: float
    accepted_at: float | None
    started_at: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster at one shot: events' side, survey of queues and workers, and our own publisher.

    ``ack_tokens`` and ``in_flight`` are there only if messages have to be acknowledged: what a
    checkpoint needs to go on from here.
    """

    window: Window
    workers: tuple[WorkerStatus, ...] = ()
    losses: tuple[WorkerLoss, ...] = ()
    running: tuple[RunningTasks, ...] = ()
    failing: tuple[FailingTask, ...] = ()
    scheduled: tuple[ScheduledTask, ...] = ()  # those of which something is known
    objectives: tuple[ObjectiveStatus, ...] = ()
    waiting: tuple[tuple[str, float], ...] = ()  # queue, known age of its oldest message, seconds
    link: BrokerLink = BrokerLink.LISTENING
    listening_seconds: float | None = None  # how long silence has been evidence; None: it is none
    tasks_in_flight: int = 0
    draining: int = 0  # tasks that run on workers that said goodbye
    leaving: tuple[WorkerLoss, ...] = ()  # workers that said goodbye, with the tasks they still run
    survey: Survey = NOT_ASKED
    missing: MissingTasks | None = None  # None: whether tasks are missing is unknown
    publisher: PublisherReport = PublisherReport()
    ack_tokens: tuple[AckToken, ...] = ()
    in_flight: tuple[TaskInFlight, ...] = ()
    shared_as: str = ""  # the id by which other monitors know this window, if they hold it too
    has_heard_all: bool = True  # False: workers may be there that had no time to be heard yet
    is_kept: bool = True  # False: another monitor publishes it
    role: Role = Role.ALONE
    standbys: int | None = None  # None: whether another monitor stands by is not known
    second: str = ""  # who publishes the same as well, for people

    @property
    def knows_workers(self) -> bool:
        """Return whether what no event has reported of workers can be taken for not being so."""
        return self.link.has_listened and self.has_heard_all

    @property
    def online(self) -> tuple[WorkerStatus, ...]:
        """Return the workers whose heartbeats come."""
        return tuple(worker for worker in self.workers if worker.state is WorkerState.ONLINE)

    @property
    def judged(self) -> tuple[ScheduledTask, ...]:
        """Return the scheduled tasks that are known to be overdue or not."""
        return tuple(task for task in self.scheduled if task.seen_at is not None)


@dataclass(frozen=True, slots=True)
class RunningTask:
    """One task that is running. ``since`` is our wall clock, seconds since the epoch."""

    id: str
    name: str | None
    worker: str | None
    since: float


@dataclass(frozen=True, slots=True)
class Live:
    """The open window so far, without closing it: for who looks between two shots.

    ``tasks`` and the three that follow are as those of a window, but that ``tasks`` have no times;
    ``running`` the 200 tasks that have been running longest, oldest first, of ``running_count``.
    ``silent`` are up to 50 workers, and for how many seconds, that the next shot will find lost,
    unless they are heard of before.
    """

    taken_at: float  # wall-clock seconds since the epoch, as ``opened_at``
    opened_at: float
    tasks: tuple[tuple[str, TaskCounts], ...] = ()
    by_task_and_queue: tuple[tuple[str, str, TaskCounts], ...] = ()
    by_task_queue_and_worker: tuple[tuple[str, str, str | None, TaskCounts], ...] = ()
    exceptions: tuple[ExceptionCounts, ...] = ()
    running: tuple[RunningTask, ...] = ()
    running_count: int = 0
    tasks_in_flight: int = 0
    link: BrokerLink = BrokerLink.LISTENING
    silent: tuple[tuple[str, float], ...] = ()
