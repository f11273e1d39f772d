"""In flight: the tasks that were sent, received or started and have not ended.

Events that end a task carry no name; it is found here. A finished task leaves at once, and only a
bounded memory of those that ended recently stays, by which a repeated ending is recognised and a
redelivered task keeps its name. Not thread-safe; counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from heapq import merge
from itertools import islice

import msgspec

from ..snapshot import TaskInFlight
from .cells import Cell
from .recently_ended import RecentlyEnded
from .waiting import WaitingTasks

__all__ = ["HeldTasks", "InFlightTask", "InFlightTasks"]

_EVICT_FRACTION = 64  # evict 1/64 at once: finding the oldest costs a scan
_LAG_SECONDS = 5.0  # task events are buffered behind heartbeats, but not that long


class InFlightTask(msgspec.Struct, gc=False):
    """One task that has not ended. Times ending in ``_at`` are the sender's wall clock, in seconds.

    A struct of msgspec's because these are made by the hundred thousand a second. It is not
    tracked by the garbage collector, so nothing it refers to may lead back to it.
    """

    cell: Cell  # where it is counted
    name: str | None = None
    worker: str | None = None  # the nodename of the worker that received or started it last
    pid: int | None = None
    queue: str | None = None  # it was sent to, if its producer sends task-sent
    sent_at: float | None = None  # of the run whose queue time is not recorded yet
    received_at: float | None = None  # the same
    eta: float | None = None  # the same
    awaits_sent: bool = False  # it has started, and its queue time waits for its task-sent
    started_at: float | None = None  # the last run
    running_since: float | None = None  # our monotonic clock; None: it is not running
    first_sent_at: float | None = None
    first_received_at: float | None = None
    retries: int = 0


class HeldTasks(dict[str, InFlightTask]):
    """The tasks in flight that one worker received or started, by uuid."""

    __slots__ = ("has_started",)

    def __init__(self) -> None:
        super().__init__()
        self.has_started = False  # one was started since it was last known that none is running


class InFlightTasks(dict[str, InFlightTask]):
    """Tasks in flight by uuid; ``trim`` makes them ``limit`` at the most.

    A dictionary, since it is asked with nearly every event. ``by_worker`` and ``Cell.running`` are
    kept beside it, so that neither a shot nor the death of a worker walks over all tasks.
    """

    def __init__(self, *, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self.recently_ended = RecentlyEnded()
        self.by_worker: dict[str, HeldTasks] = {}
        self.waiting = WaitingTasks()
        self.evicted = 0

    def held_by(self, hostname: str) -> HeldTasks:
        """Return the tasks of this worker, to be kept up to date by who receives its events."""
        held = self.by_worker.get(hostname)
        if held is None:
            held = self.by_worker[hostname] = HeldTasks()
        return held

    def assign(self, uuid: str, task: InFlightTask, hostname: str) -> None:
        """Note that this worker has the task now."""
        if task.worker != hostname:
            self._release(uuid, task)
            task.worker = hostname
        self.held_by(hostname)[uuid] = task

    def start(self, uuid: str, task: InFlightTask, *, now: float) -> None:
        """Note that the task has begun to run; ``assign`` it first. ``now`` is our clock."""
        if task.running_since is not None:  # a run before, whose end was not seen
            task.cell.running.pop(uuid, None)
        task.running_since = now
        task.cell.running[uuid] = now

    def interrupt(self, uuid: str, task: InFlightTask) -> None:
        """Note that the task is not running any more, though it has not ended."""
        if task.running_since is not None:
            task.running_since = None
            task.cell.running.pop(uuid, None)

    def rename(self, uuid: str, task: InFlightTask, name: str, cell: Cell) -> None:
        """Give the task its name, and the cell that goes with it."""
        task.name = name
        if cell is not task.cell:
            since = task.cell.running.pop(uuid, None)
            task.cell = cell
            if since is not None:
                cell.running[uuid] = since
                _sort(cell.running)

    def leave(self, uuid: str, task: InFlightTask) -> None:
        """Take a task that was popped off all other indexes."""
        self._release(uuid, task)
        if task.running_since is not None:
            task.cell.running.pop(uuid, None)
        if task.queue is not None:
            self.waiting.remove(task.queue, uuid)

    def give_up(self, uuid: str) -> InFlightTask:
        """Wait for this task no longer; it may end yet, and will have its name then."""
        task = self.pop(uuid)
        self.leave(uuid, task)
        self.recently_ended.note(uuid, task.name, None)
        return task

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
            self.leave(uuid, self.pop(uuid))
            self.recently_ended.forget(uuid)  # of an earlier run: the next one shall count
        self.evicted += len(victims)

    def abandon(
        self, hostname: str, *, spare_pid: int | None = None
    ) -> tuple[tuple[str, str | None], ...]:
        """Drop the tasks of a worker that is gone; return (uuid, name) of those that were running.

        They may be delivered again, so their names are remembered like those of ended tasks.
        ``spare_pid`` is the process whose tasks stay.
        """
        held: Mapping[str, InFlightTask] = self.by_worker.get(hostname) or {}
        gone = [uuid for uuid, task in held.items() if spare_pid is None or task.pid != spare_pid]
        orphans: list[tuple[str, str | None]] = []
        for uuid in gone:
            was_running = held[uuid].running_since is not None
            task = self.give_up(uuid)
            if was_running:
                orphans.append((uuid, task.name))
        return tuple(orphans)

    def drop_idle(self, idle_at: Mapping[str, float]) -> None:
        """Drop tasks that cannot be running: their worker said later that it runs nothing.

        ``Ignore`` ends a task without an event, and an event may be lost. ``idle_at`` is hostname
        → our clock when it said so.
        """
        for hostname, said_at in idle_at.items():
            held = self.by_worker.get(hostname)
            if held is None or not held.has_started:
                continue
            running = [
                (uuid, task.running_since)
                for uuid, task in held.items()
                if task.running_since is not None
            ]
            ghosts = [uuid for uuid, since in running if since + _LAG_SECONDS < said_at]
            for uuid in ghosts:
                self.give_up(uuid)
            held.has_started = len(ghosts) < len(running)

    def forget_workers(self, known: Container[str]) -> None:
        """Drop the indexes of workers that are not known any more and hold nothing."""
        gone = [name for name, held in self.by_worker.items() if not held and name not in known]
        for hostname in gone:
            del self.by_worker[hostname]

    def oldest_running(
        self, running: Mapping[str, Mapping[str, float]], most: int
    ) -> list[tuple[str, InFlightTask, float]]:
        """Return (uuid, task, since) of the tasks that have been running longest, oldest first.

        ``running`` is name → uuid → since, each in the order of the starts.
        """
        starts = merge(
            *(((since, uuid) for uuid, since in one.items()) for one in running.values())
        )
        return [(uuid, self[uuid], since) for since, uuid in islice(starts, most)]

    def export(self, wall_of: Callable[[float], float]) -> tuple[TaskInFlight, ...]:
        """Return every task as a value; ``wall_of`` turns our monotonic clock into wall time."""
        return tuple(self._values(wall_of))

    def _values(self, wall_of: Callable[[float], float]) -> Iterator[TaskInFlight]:
        for uuid, task in self.items():
            yield TaskInFlight(
                uuid=uuid,
                name=task.name,
                worker=task.worker,
                pid=task.pid,
                sent_at=task.sent_at,
                received_at=task.received_at,
                eta=task.eta,
                started_at=task.started_at if task.awaits_sent else None,
                running_since=task.running_since and wall_of(task.running_since),
            )

    def _release(self, uuid: str, task: InFlightTask) -> None:
        held = self.by_worker.get(task.worker) if task.worker is not None else None
        if held is not None:
            held.pop(uuid, None)


def _sort(running: dict[str, float]) -> None:
    """Bring the starts into order again, if the last one is not the latest."""
    starts = list(running.items())
    if len(starts) > 1 and starts[-1][1] < starts[-2][1]:
        running.clear()
        running.update(sorted(starts, key=lambda start: start[1]))
