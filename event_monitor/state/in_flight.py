"""In flight: the tasks that were sent, received or started and have not ended.

Events that end a task carry no name; it is found here. A finished task leaves at once, and only a
bounded memory of those that ended recently stays, by which a repeated ending is recognised and a
redelivered task keeps its name. Not thread-safe; counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from itertools import chain, islice

import msgspec

from ..snapshot import UNKNOWN, TaskInFlight
from .cells import Cell
from .recently_ended import RecentlyEnded

__all__ = ["Details", "InFlightTask", "InFlightTasks"]

_EVICT_FRACTION = 64  # evict 1/64 at once: finding the oldest costs a scan
_LAG_SECONDS = 5.0  # task events are buffered behind heartbeats, but not that long
_MAX_QUEUES = 1_000
_SLACK = (
    32  # tasks that have left a worker and are still in its list; 5,000 workers have such lists
)


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
    retries: int = 0


_NO_DETAILS = Details()


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

    def detail(self) -> Details:
        """Return the details; make them if there are none yet."""
        if self.details is None:
            self.details = Details(first_received_at=self.received_at)
        return self.details

    @property
    def waits_since(self) -> tuple[str, float, float] | None:
        """Return queue, time of sending and since when it waits there; None if it does not.

        It waits since it was sent, or since its eta if that was later.
        """
        details = self.details
        if details is None or details.queue is None or details.sent_at is None:
            return None
        if self.running_since is not None or (self.received_at and self.started_at is None):
            return None
        sent_at, eta = details.sent_at, details.eta
        return details.queue, sent_at, sent_at if eta is None else max(sent_at, eta)


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
        self.received_up_to: dict[str, float] = {}  # queue → latest `sent_at` of a received task
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

    def note_receipt(self, queue: str, sent_at: float) -> None:
        """Note that a task which was sent to this queue then has been received."""
        if sent_at > self.received_up_to.get(queue, 0.0):
            if len(self.received_up_to) >= _MAX_QUEUES:
                self.received_up_to.clear()
            self.received_up_to[queue] = sent_at

    def give_up(self, task: InFlightTask) -> None:
        """Wait for this task no longer; it may end yet, and will have its name then."""
        self.pop(task.uuid, None)
        self._unindex(task)
        self.recently_ended.note(task.uuid, task.name, None)

    def trim(self) -> None:
        """Have no more than ``limit``: the oldest go, running ones last, since they have an age."""
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
            self._unindex(self.pop(uuid))
            self.recently_ended.forget(uuid)  # of an earlier run: the next one shall count
        self.evicted += len(victims)

    def abandon(self, hostname: str, *, spare_pid: int | None = None) -> tuple[InFlightTask, ...]:
        """Drop the tasks that were running on a worker that is gone, and return them.

        They may be delivered again, so their names are remembered like those of ended tasks.
        ``spare_pid`` is the process whose tasks stay.
        """
        running = self.running_on.get(hostname, {})
        gone = [task for task in running.values() if spare_pid is None or task.pid != spare_pid]
        for task in gone:
            self.give_up(task)
        return tuple(gone)

    def drop_idle(self, idle_at: Mapping[str, float]) -> None:
        """Drop tasks that cannot be running: their worker said later that it runs nothing.

        ``Ignore`` ends a task without an event, and an event may be lost. ``idle_at`` is nodename →
        our clock when it said so.
        """
        for hostname, said_at in idle_at.items():
            for task in tuple(self.running_on.get(hostname, {}).values()):
                if task.running_since is None or task.running_since + _LAG_SECONDS < said_at:
                    self.give_up(task)

    def forget_workers(self, known: Container[str]) -> None:
        """Drop the indexes of workers that are not known any more and run nothing."""
        unknown = [
            hostname
            for hostname, running in self.running_on.items()
            if not running and hostname not in known
        ]
        for hostname in unknown:
            del self.running_on[hostname]

    def running(self) -> list[InFlightTask]:
        """Return the running tasks. Takes time that grows with them and the workers."""
        return list(chain.from_iterable(map(dict.values, self.running_on.values())))

    def export(self, wall_of: Callable[[float], float]) -> tuple[TaskInFlight, ...]:
        """Return every task as a value; ``wall_of`` turns our monotonic clock into wall time."""
        return tuple(_value(task, wall_of) for task in self.values())

    def _unindex(self, task: InFlightTask) -> None:
        running = self.running_on.get(task.worker) if task.worker is not None else None
        if running is not None:
            running.pop(task.uuid, None)


def _value(task: InFlightTask, wall_of: Callable[[float], float]) -> TaskInFlight:
    details = task.details or _NO_DETAILS
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
    )
