"""In flight: the tasks that were sent, received or started and have not ended.

Events that end a task carry no name; it is found here. A finished task leaves at once, and only a
bounded memory of those that ended recently stays, by which a repeated ending is recognised and a
redelivered task keeps its name. Not thread-safe; counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from itertools import islice
from typing import NamedTuple

import msgspec

from ..snapshot import UNKNOWN, MissingTask, TaskInFlight
from .cells import Cell
from .recently_ended import RecentlyEnded
from .waiting import WaitingTasks

__all__ = [
    "ANY_OWNER",
    "NO_DETAILS",
    "Details",
    "InFlightTask",
    "InFlightTasks",
    "Owner",
    "RelatedTask",
    "Run",
    "Sending",
    "first_start",
    "oldest_of",
    "relatives_of",
    "value_of",
]

_EVICT_FRACTION = 64  # evict 1/64 at once: finding the oldest costs a scan
_LAG_SECONDS = 5.0  # task events are buffered behind heartbeats, but not that long


class Sending(NamedTuple):
    """One task-sent: when, by the producer's clock, where to, and from when on it may run."""

    at: float
    queue: str | None
    eta: float | None


class Details(msgspec.Struct, gc=False):
    """What is known of some tasks only: with task-sent events, with an eta, retried.

    Times are the sender's wall clock, in seconds.
    """

    name: str | None = None  # if it is not that of the cell, which is then `other` or `unknown`
    queue: str | None = None  # it was sent to
    sent_at: float | None = None  # of the run whose queue time is not recorded yet
    eta: float | None = None  # the same
    awaits_sent: bool = False  # the run has started, and its queue time waits for its task-sent
    awaited_receipt: float | None = None  # when that run was received
    first_sent_at: float | None = None
    first_received_at: float | None = None
    retries_before: int = 0  # before the first event of it that came
    retried: int = 0  # task-retried events since
    delivered_retries: int = 0  # as the last delivery had it
    is_redelivered: bool = False  # once more after it had begun, and has not begun again
    is_requeued: bool = False  # a worker put it back on purpose
    has_run_twice: bool = False
    arguments: tuple[bytes, bytes] | None = None  # JSON of args and kwargs, if they are asked for
    later: tuple[Sending, ...] = ()  # task-sent of runs after the one that waits, under its id

    @property
    def retries(self) -> int:
        """Return how many retries were asked for."""
        return max(self.retries_before + self.retried, self.delivered_retries)

    @property
    def starts_plainly(self) -> bool:
        """Return whether its next run may start as if there were no details.

        Then no more is known than its retries, and it waited since its receipt.
        """
        return (
            self.queue is None
            and self.sent_at is None
            and self.eta is None
            and self.name is None
            and not self.awaits_sent
            and not self.is_redelivered
            and not self.later
        )


NO_DETAILS = Details()


class InFlightTask(msgspec.Struct, gc=False):
    """One task that has not ended. Times ending in ``_at`` are the sender's wall clock, in seconds.

    A struct of msgspec's, as small as can be, because these are made by the hundred thousand a
    second and hardly fit a cache. It is not tracked by the garbage collector, so nothing it refers
    to may lead back to it.
    """

    uuid: str
    cell: Cell  # where it is counted, and its name
    worker: str | None = None  # the nodename of the worker that received or started it last
    pid: int | None = None
    received_at: float | None = None  # the last receipt
    started_at: float | None = None  # the run that began after it; None: none has
    running_since: float | None = None  # our monotonic clock; None: it is not running
    details: Details | None = None

    @property
    def name(self) -> str | None:
        """Return the task's name, if it is known."""
        if self.details is not None and self.details.name is not None:
            return self.details.name
        return None if self.cell.name == UNKNOWN else self.cell.name

    @property
    def first_at(self) -> float | None:
        """Return when it was sent, or received for the first time where no task-sent has come.

        None if that is not known.
        """
        details = self.details
        if details is None:
            return self.received_at
        return (
            None if details.retries_before else details.first_sent_at or details.first_received_at
        )

    def detail(self) -> Details:
        """Return the details; make them if there are none yet."""
        if self.details is None:
            self.details = Details(first_received_at=self.received_at)
        return self.details


class RelatedTask(InFlightTask, gc=False):
    """The same, made where there is a history: with the ids of the tasks that it descends from.

    None: of none, as far as is known.
    """

    root: str | None = None
    parent: str | None = None


def relatives_of(task: InFlightTask) -> tuple[str | None, str | None]:
    """Return the ids of the first task, and of the last, that this one descends from."""
    return (task.root, task.parent) if isinstance(task, RelatedTask) else (None, None)


class Run(NamedTuple):
    """A task that was running on a worker, and by what this run is recognised later."""

    task: InFlightTask
    since: float | None  # its `running_since`
    started_at: float | None

    def is_followed(self) -> bool:
        """Return whether the task was delivered again since."""
        return self.task.started_at != self.started_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Which of the tasks that run under one nodename are meant: those of one of its processes.

    Those that have no other ``pid``, began from ``since`` to ``until`` (our monotonic clock), and
    are not ``without``. None: any.
    """

    pid: int | None = None
    since: float | None = None
    until: float | None = None
    without: tuple[Run, ...] = ()

    def has(self, task: InFlightTask) -> bool:
        """Return whether this running task is its own, but for those it is ``without``."""
        began = task.running_since or 0.0
        return (
            (None in (self.pid, task.pid) or self.pid == task.pid)
            and (self.since is None or began >= self.since)
            and (self.until is None or began <= self.until)
        )


ANY_OWNER = Owner()


class InFlightTasks(dict[str, InFlightTask]):
    """Tasks in flight by uuid; ``trim`` makes them ``limit`` at the most.

    A dictionary, since it is asked with nearly every event. Beside it, the running tasks are
    indexed by worker, so that the death of a worker need not walk over all tasks.
    """

    def __init__(self, *, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self.recently_ended = RecentlyEnded()
        self.running_on: dict[str, dict[str, InFlightTask]] = {}  # nodename → uuid → task
        self.waiting = WaitingTasks()
        self.evicted = 0

    def on_worker(self, hostname: str) -> dict[str, InFlightTask]:
        """Return the running tasks of this worker, to be kept up to date by the caller."""
        running = self.running_on.get(hostname)
        if running is None:
            running = self.running_on[hostname] = {}
        return running

    def start(self, task: InFlightTask, *, now: float) -> None:
        """Note that the task has begun to run on its worker; ``now`` is our monotonic clock."""
        task.running_since = now
        if task.worker is not None:
            self.on_worker(task.worker)[task.uuid] = task

    def stop(self, task: InFlightTask) -> None:
        """Note that the task is not running any more."""
        task.running_since = None
        self._unindex(task)

    def give_up(self, task: InFlightTask) -> None:
        """Wait for this task no longer; it may end yet, and will have its name then."""
        self.pop(task.uuid, None)
        self._forget(task)
        was_sent = task.details is not None and task.details.first_sent_at is not None
        self.recently_ended.note(task.uuid, task.name, None, was_sent=was_sent)

    def give_up_orphan(self, task: InFlightTask, hostname: str, *, at: float) -> bool:
        """Give up a task whose worker was gone ``at`` that time (our clock); return whether it was.

        Not if it ended, or runs again, meanwhile.
        """
        since = task.running_since
        if self.get(task.uuid) is not task or task.worker != hostname:
            return False
        if since is None or since > at:
            return False
        self.give_up(task)
        return True

    def give_up_unstarted(self, task: InFlightTask, gone: Mapping[str, float]) -> bool:
        """Give up a task that one of these workers holds still; return whether it did.

        If it is known from which queue it came, it stays in flight: it was not acknowledged, so it
        has to come there again. ``gone``: nodename → since when, by our monotonic clock.
        """
        if self.get(task.uuid) is not task or task.running_since is not None:
            return False
        since = gone.get(task.worker or "")
        if since is None:
            return False
        details = task.details
        is_unacknowledged = task.received_at is not None and task.started_at is None
        if details is None or details.queue is None or not is_unacknowledged:
            self.give_up(task)
            return True
        task.worker = task.pid = task.received_at = None
        sent_at = details.sent_at or details.first_sent_at or 0.0
        self.waiting.add_again(details.queue, task.uuid, sent_at=sent_at, heard_at=since)
        return False

    def lose(self, queue: str, uuid: str) -> MissingTask | None:
        """Give up a task that is in this queue no more, nor anywhere else; None if it came."""
        task = self.get(uuid)
        if task is None or not self.waiting.drop(queue, uuid):
            return None
        self.give_up(task)
        sent_at = task.details.first_sent_at if task.details is not None else None
        return MissingTask(uuid, task.name or UNKNOWN, queue, sent_at or 0.0)

    def has_come(self, uuid: str) -> bool:
        """Return whether a worker told of a task since it was given up."""
        task = self.get(uuid)
        if task is not None:
            return task.worker is not None
        before = self.recently_ended.find(uuid)
        return before is not None and before.how is not None

    def trim(self) -> None:
        """Have no more than ``limit``: the oldest go, running ones last, since they have an age."""
        self.recently_ended.turn()
        surplus = len(self) - self._limit
        if surplus <= 0:
            return
        wanted = max(surplus, self._limit // _EVICT_FRACTION)
        idle = (uuid for uuid, task in self.items() if task.running_since is None)
        victims = dict.fromkeys(islice(idle, wanted))
        if len(victims) < surplus:
            others = (uuid for uuid in self if uuid not in victims)
            victims |= dict.fromkeys(islice(others, wanted - len(victims)))
        for uuid in victims:
            self._forget(self.pop(uuid))
            self.recently_ended.forget(uuid)  # of an earlier run: the next one shall count
        self.evicted += len(victims)

    def is_running(self, run: Run) -> bool:
        """Return whether this very run goes on, as far as events tell."""
        task = run.task
        return (
            task.running_since is not None
            and task.running_since == run.since
            and self.get(task.uuid) is task
        )

    def runs_of(self, hostname: str, owner: Owner) -> tuple[Run, ...]:
        """Return the tasks that run on a worker and are the owner's."""
        others = {run.task.uuid: run.since for run in owner.without}
        return tuple(
            Run(task, task.running_since, task.started_at)
            for uuid, task in self.running_on.get(hostname, {}).items()
            if owner.has(task) and (uuid not in others or others[uuid] != task.running_since)
        )

    def abandon(self, hostname: str) -> Collection[InFlightTask]:
        """Return the tasks that were running on a worker that is gone, and run them no more.

        They stay in flight until they are given up: here the time grows with the number of workers
        that die, not with that of their tasks.
        """
        return self.running_on.pop(hostname, {}).values()

    def abandon_some(self, hostname: str, tasks: Iterable[InFlightTask]) -> None:
        """Let these tasks of a worker run no more; the others go on."""
        running = self.running_on.get(hostname, {})
        for task in tasks:
            running.pop(task.uuid, None)

    def left_behind(self, hostnames: Container[str]) -> list[InFlightTask]:
        """Return the tasks that these workers hold and have not started. Walks over all tasks."""
        return [
            task
            for task in self.values()
            if task.running_since is None and task.worker in hostnames
        ]

    def drop_idle(self, hostname: str, said_at: float, owner: Owner) -> list[InFlightTask]:
        """Drop tasks that cannot be running: their worker said later that it runs nothing.

        ``Ignore`` ends a task without an event, and an event may be lost. ``said_at`` is our clock.
        Return the tasks that were dropped.
        """
        dropped = [
            run.task
            for run in self.runs_of(hostname, owner)
            if run.since is None or run.since + _LAG_SECONDS < said_at
        ]
        for task in dropped:
            self.give_up(task)
        return dropped

    def forget_workers(self, known: Container[str]) -> None:
        """Drop the indexes of workers that are not known any more and run nothing."""
        unknown = [
            hostname
            for hostname, running in self.running_on.items()
            if not running and hostname not in known
        ]
        for hostname in unknown:
            del self.running_on[hostname]

    def export(self, wall_of: Callable[[float], float]) -> tuple[TaskInFlight, ...]:
        """Return every task as a value; ``wall_of`` turns our monotonic clock into wall time."""
        return tuple(value_of(task, wall_of) for task in self.values())

    def _unindex(self, task: InFlightTask) -> None:
        running = self.running_on.get(task.worker) if task.worker is not None else None
        if running is not None:
            running.pop(task.uuid, None)

    def _forget(self, task: InFlightTask) -> None:
        self._unindex(task)
        if task.details is not None and task.details.queue is not None:
            self.waiting.drop(task.details.queue, task.uuid)


def first_start(running: Mapping[str, InFlightTask]) -> float | None:
    """Return since when the oldest of a worker's tasks runs; they are in the order of starts."""
    first = next(iter(running.values()), None)
    return None if first is None else first.running_since or 0.0


def oldest_of(groups: Sequence[Mapping[str, InFlightTask]], most: int) -> list[InFlightTask]:
    """Return the tasks of these workers that run longest, oldest first; at most so many."""
    heap = []
    for number, running in enumerate(groups):
        tasks = iter(running.values())
        task = next(tasks, None)
        if task is not None:
            heap.append((task.running_since or 0.0, number, task, tasks))
    heapify(heap)
    oldest: list[InFlightTask] = []
    while heap and len(oldest) < most:
        _, number, task, tasks = heap[0]
        oldest.append(task)
        following = next(tasks, None)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following.running_since or 0.0, number, following, tasks))
    return oldest


def value_of(task: InFlightTask, wall_of: Callable[[float], float]) -> TaskInFlight:
    """Return the task as a value; ``wall_of`` turns our monotonic clock into wall time."""
    details = task.details or NO_DETAILS
    is_fresh = task.started_at is None
    return TaskInFlight(
        uuid=task.uuid,
        name=task.name,
        worker=task.worker,
        pid=task.pid,
        sent_at=details.sent_at,
        received_at=task.received_at if is_fresh else details.awaited_receipt,
        eta=details.eta,
        started_at=task.started_at if details.awaits_sent else None,
        running_since=task.running_since and wall_of(task.running_since),
        first_at=task.first_at,
        retries=details.retries,
        queue=details.queue,
    )
