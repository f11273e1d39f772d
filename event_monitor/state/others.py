"""Others: the tasks of other services on this broker, where a monitor is limited to one.

They are followed without being counted, since most events tell neither the name of their task nor
its queue. Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .. import events as ev
from ..settings import Only, Whence
from ..snapshot import OTHER, UNKNOWN, TaskInFlight
from .cells import Cell, Cells
from .in_flight import ANY_OWNER, InFlightTask, InFlightTasks, value_of
from .recently_ended import Ended
from .verdicts import Departure

__all__ = ["Others"]

_MOST_DECIDED = 10_000  # names, queues and workers, and names of cells; they are decided anew then
_MOST_UNDECIDED = 1_000  # tasks decided anew while the lock is held: a few milliseconds
_ENDINGS = frozenset({"task-succeeded", "task-failed", "task-revoked", "task-rejected"})


class Others:
    """Tells whose the task of an event is, by the name, queue and worker that are known of it.

    A task is ours or theirs from its first event on, until one tells more of it: its name, its
    queue, or another worker that has received it. ``in_flight`` are theirs, ``own`` are ours, and
    ``learn`` puts one among these, given our clock for all its times. ``cells`` know which queues
    a worker reads. ``names`` are of tasks of theirs of which workers have sent events.
    """

    def __init__(
        self,
        only: Only,
        own: InFlightTasks,
        cells: Cells,
        *,
        learn: Callable[[TaskInFlight, float], None],
        max_tasks: int,
        max_names: int,
        idle_seconds: float,
    ) -> None:
        self.in_flight = InFlightTasks(limit=max_tasks)
        self.names: dict[str, float] = {}  # our clock, when such an event came last
        self._only = only
        self._own = own
        self._cells = cells
        self._learn = learn
        self._max_names = max_names
        self._idle_seconds = idle_seconds
        # Name, queue, worker → whether such a task is ours.
        self._decided: dict[tuple[str, str | None, str | None], bool] = {}
        self._undecided: dict[str, None] = {}  # theirs, as their worker has not said what it reads
        self._cell_of: dict[str, Cell] = {}  # where nothing is counted; they keep the names

    def has(self, event: ev.TaskEvent, now: float) -> bool:
        """Return whether this event is about a task of theirs, and note what it says of that."""
        if event.type == "task-sent":
            return self._is_sent(event, now)
        if event.type == "task-received":
            return self._is_received(event, now)
        uuid, hostname = event.uuid, event.hostname
        is_node_ours = self._only.has_node(hostname)
        own, task = self._own.get(uuid), self.in_flight.get(uuid)
        if own is not None:
            if is_node_ours:
                return False
            if own.running_since is not None:
                return True  # it runs with us all the same
            task = self._take_over(own)
        elif task is None:
            before = self._own.recently_ended.find(uuid)
            theirs = self.in_flight.recently_ended.find(uuid)
            if before is not None and (theirs is None or before.how is not None):
                return not is_node_ours
            if theirs is None and self._is_ours(UNKNOWN, None, hostname):
                return False
            if theirs is not None and theirs.how is not None:
                return True  # it has ended
            task = self._enter(uuid, theirs.name if theirs else None)
        self._follow(task, event, now)
        return True

    def without_theirs(
        self, tasks: Iterable[TaskInFlight], *, now: float, wall: float
    ) -> Iterator[TaskInFlight]:
        """Yield those of the tasks that workers hold, or a checkpoint kept, that are ours."""
        for known in tasks:
            uuid = known.uuid
            own, task = self._own.get(uuid), self.in_flight.get(uuid)
            if own is not None and own.name is not None:
                yield known  # it was decided by what is known better
            elif task is not None and task.name is not None:
                continue
            elif self._is_ours(known.name or UNKNOWN, known.queue, known.worker):
                if task is not None:
                    self.in_flight.give_up(task)
                yield known
            elif not _has_ended(self.in_flight.recently_ended.find(uuid)):
                if own is not None:
                    self._own.give_up(own)
                task = self._enter(uuid, known.name, known.queue)
                task.worker = known.worker
                if known.running_since is not None:
                    since = now - max(0.0, wall - known.running_since)
                    self.in_flight.start(task, now=since)
                self._note_undecided(task)

    def note_names(self, tasks: Iterable[TaskInFlight]) -> Iterator[TaskInFlight]:
        """Yield the tasks that are ours, and remember the names of theirs; they may have ended."""
        for known in tasks:
            if self._is_ours(known.name or UNKNOWN, known.queue, known.worker):
                yield known
            elif known.uuid not in self.in_flight and known.uuid not in self._own:
                self.in_flight.recently_ended.note(known.uuid, known.name, None)

    def knows(self, uuid: str) -> bool:
        """Return whether a task is theirs, or was, so that its name is not waited for."""
        return uuid in self.in_flight or self.in_flight.recently_ended.find(uuid) is not None

    # -- what the workers do -------------------------------------------------------------------

    def busy(self) -> set[str]:
        """Return the nodenames of the workers that run tasks of theirs."""
        return {name for name, running in self.in_flight.running_on.items() if running}

    def leave(self, departure: Departure) -> None:
        """Note that a process is gone: what it ran, it runs no more."""
        if departure.runs is None and departure.owner is ANY_OWNER:
            self.in_flight.abandon(departure.hostname)

    def note_readers(self, now: float) -> None:
        """Note that it may have changed which queues the workers read."""
        self._decided.clear()
        undecided, self._undecided = self._undecided, {}
        for uuid in undecided:
            task = self.in_flight.get(uuid)
            if task is not None and self._is_ours(task.name or UNKNOWN, None, task.worker):
                self._release(task, now)
            elif task is not None:
                self._note_undecided(task)

    def forget_idle(self, now: float) -> None:
        """Forget names of which no event has come for long; to be called at each shot."""
        self.names = {n: at for n, at in self.names.items() if now - at <= self._idle_seconds}

    # -- one event -----------------------------------------------------------------------------

    def _is_sent(self, event: ev.TaskEvent, now: float) -> bool:
        """Return whether a task that was sent is theirs; which worker gets it is not known yet."""
        uuid, queue = event.uuid, event.queue
        own, task = self._own.get(uuid), self.in_flight.get(uuid)
        before = self.in_flight.recently_ended.find(uuid) if task is None else None
        has_ended = before is not None and before.how is not None
        is_ours = self._is_ours(event.name or UNKNOWN, queue, None)
        if is_ours and self._only.limits_workers and queue is not None:
            readers = self._cells.readers_of(queue)
            is_ours = not readers or any(map(self._only.has_node, readers))
        if is_ours:  # unless a worker of theirs was quicker to tell
            if task is not None:
                if not self._is_on_our_node(task):
                    return True
                self._release(task, now)
            elif before is not None and has_ended:
                if self._only.limits_workers and before.name is not None:
                    return True
                self.in_flight.recently_ended.forget(uuid)
                self._own.recently_ended.note(uuid, before.name, before.how)
            return False
        if own is not None:
            if own.running_since is not None and own.name is not None:
                return True  # this run is ours, and the next one theirs
            task = self._take_over(own)
        elif task is None:
            if has_ended:
                return True
            task = self._enter(uuid, event.name)
        if queue is not None:
            task.detail().queue = queue
        return True

    def _is_received(self, event: ev.TaskEvent, now: float) -> bool:
        """Return whether a task is theirs by the worker that has received it, too."""
        uuid, hostname = event.uuid, event.hostname
        own, task = self._own.get(uuid), self.in_flight.get(uuid)
        known = own or task
        name, queue = event.name or UNKNOWN, None
        if known is not None:
            name = event.name or known.name or UNKNOWN
            queue = known.details.queue if known.details is not None else None
        if self._is_ours(name, queue, hostname):
            if task is not None:
                self._release(task, now)
            return False
        if own is not None:
            if own.running_since is not None and not self._only.has_node(hostname):
                return True  # it runs with us all the same
            task = self._take_over(own)
        elif task is None:
            task = self._enter(uuid, name)
        if task.name != name:
            task.cell = self._cell(name)
        task.worker, task.pid, task.received_at = hostname, event.pid, event.timestamp
        self._note_name(name, now)
        self._note_undecided(task)
        return True

    def _follow(self, task: InFlightTask, event: ev.TaskEvent, now: float) -> None:
        in_flight = self.in_flight
        if task.running_since is not None:
            in_flight.stop(task)
        if event.type == "task-started":
            task.worker, task.pid, task.started_at = event.hostname, event.pid, event.timestamp
            in_flight.start(task, now=now)
            self._note_name(task.cell.name, now)
        elif event.type in _ENDINGS and not event.requeue:
            in_flight.pop(task.uuid, None)
            self._undecided.pop(task.uuid, None)
            in_flight.recently_ended.note(task.uuid, task.name, event.type)

    # -- what they share -----------------------------------------------------------------------

    def _is_ours(self, name: str, queue: str | None, hostname: str | None) -> bool:
        """Return whether a task is ours; None where its queue or its worker is not known."""
        key = name, queue, hostname
        is_ours = self._decided.get(key)
        if is_ours is None:
            only = self._only
            is_ours = (
                only.has_task(name)
                and (hostname is None or only.has_node(hostname))
                and only.has_whence(queue or self._whence(name, hostname))
            )
            if len(self._decided) >= _MOST_DECIDED:
                self._decided.clear()
            self._decided[key] = is_ours
        return is_ours

    def _whence(self, name: str, hostname: str | None) -> Whence:
        """Return what is known of the queue; None of a worker that has not said what it reads.

        Our app's routes, of which the last is its default queue, say nothing of others' tasks.
        """
        is_known = hostname is not None and self._cells.has_answered(hostname)
        return self._cells.whence(name, hostname) if is_known else None

    def _take_over(self, own: InFlightTask) -> InFlightTask:
        """Make a task theirs that was ours; nothing that happens to it counts from now on."""
        since = own.running_since
        self._own.give_up(own)
        task = self._enter(own.uuid, own.name, own.details.queue if own.details else None)
        task.worker, task.pid, task.received_at = own.worker, own.pid, own.received_at
        if since is not None:
            self.in_flight.start(task, now=since)
        return task

    def _release(self, task: InFlightTask, now: float) -> None:
        """Make a task ours that was theirs; what happened to it so far is not counted any more."""
        known = value_of(task, lambda at: at)
        self.in_flight.give_up(task)
        if self._is_on_our_node(task):
            self._learn(known, now)
            own = self._own.get(task.uuid)
            if own is not None:
                own.received_at, own.started_at = task.received_at, task.started_at

    def _note_undecided(self, task: InFlightTask) -> None:
        """Remember a task that is theirs only until its worker says from which queues it reads."""
        if (
            len(self._undecided) < _MOST_UNDECIDED
            and self._only.has_task(task.name)
            and (task.details is None or task.details.queue is None)
            and self._is_on_our_node(task)
            and self._whence(task.cell.name, task.worker) is None
        ):
            self._undecided[task.uuid] = None

    def _is_on_our_node(self, task: InFlightTask) -> bool:
        return task.worker is None or self._only.has_node(task.worker)

    def _enter(self, uuid: str, name: str | None, queue: str | None = None) -> InFlightTask:
        task = self.in_flight[uuid] = InFlightTask(uuid, self._cell(name or UNKNOWN))
        if queue is not None:
            task.detail().queue = queue
        return task

    def _cell(self, name: str) -> Cell:
        """Return a cell that keeps the name: thousands of tasks share a few."""
        cell = self._cell_of.get(name)
        if cell is None:
            if len(self._cell_of) >= _MOST_DECIDED:
                self._cell_of.clear()
            cell = self._cell_of[name] = Cell(name, UNKNOWN, None)
        return cell

    def _note_name(self, name: str, now: float) -> None:
        is_known = name in self.names or len(self.names) < self._max_names
        self.names[name if is_known else OTHER] = now


def _has_ended(before: Ended | None) -> bool:
    return before is not None and before.how is not None
