"""Runs: tasks in flight from run to run: begun, received again, moved, timed, ended, used again.

Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from .. import events as ev
from ..settings import Settings
from ..snapshot import UNKNOWN, TaskInFlight, VanishedTask
from .cells import Cell, Cells, Route
from .ended import Ending, WeighSuccess, frozen
from .in_flight import Details, InFlightTask, InFlightTasks, RelatedTask, Sending
from .loss_meter import LossMeter
from .overtaken import Overtaken
from .sender import Sender
from .window import OpenWindow, TaskCounters
from .worker import Worker

__all__ = ["Runs"]

_MAX_VANISHED = 10  # tasks named that vanished in one window
_LONGEST_NAME = 255  # characters kept with a task whose name is counted as `other`
_MAX_RAN_TWICE = 10_000  # tasks remembered that ended, and ran twice


class Runs:
    """The tasks in flight, and the cells and the open window in which they count.

    ``ended`` are the tasks that ended, if somebody wants them; else None. ``weigh`` chooses among
    those that succeeded; with ``failures_only`` all but those that failed are left out. ``sender``
    is the worker whose events are being counted.
    """

    def __init__(
        self,
        settings: Settings,
        window: OpenWindow,
        *,
        keep_ended: bool,
        route: Route | None = None,
        weigh: WeighSuccess | None = None,
        failures_only: bool = False,
    ) -> None:
        self.window = window
        self.in_flight = InFlightTasks(limit=settings.max_tasks_in_flight)
        self.cells = Cells(
            max_names=settings.max_task_names,
            idle_seconds=settings.idle_series_seconds,
            by_worker=bool(settings.by_worker) or settings.counts_by_host,
            route=route,
            objectives=settings.objectives,
        )
        self.ended: list[Ending] | None = [] if keep_ended else None
        self._new_task = RelatedTask if keep_ended and settings.history else InFlightTask
        self.sender = Sender("", Worker("", 0.0), LossMeter(), {}, {})
        self._find, self._take = self.in_flight.get, self.in_flight.pop
        self._recently_ended = self.in_flight.recently_ended
        self._note = self._recently_ended.note
        self._time_total = settings.time_total
        self._failures_only = failures_only
        self._weigh = weigh if keep_ended and not failures_only else None
        wants_all = keep_ended and weigh is None and not failures_only
        # Of each task that succeeds; it may do so on the worker of another service, too.
        self._asks_more = wants_all or settings.time_total or settings.only.limits_workers
        self._overtaken = Overtaken()
        self._ran_twice: dict[str, str] = {}  # tasks that ended, and ran twice → on which worker

    def learn(self, tasks: Iterable[TaskInFlight], *, now: float, wall: float) -> None:
        """Put tasks in flight that workers hold, or a checkpoint kept.

        Tasks that ended since are left out, and of those in flight only the name is learnt.
        """
        in_flight = self.in_flight
        for known in tasks:
            uuid = known.uuid
            task = in_flight.get(uuid)
            if task is not None:
                if task.name is None and known.name is not None:
                    self._rename(task, known.name)
                continue
            before = in_flight.recently_ended.find(uuid)
            if before is not None and before.how is not None:
                continue
            task = self._enter(uuid, known.name, known.worker, known.queue)
            task.pid, task.received_at = known.pid, known.received_at
            fresh = (known.sent_at, known.eta, known.started_at, known.first_at, known.queue)
            if known.retries or any(value is not None for value in fresh):
                details = task.detail()
                details.first_received_at, details.retried = known.first_at, known.retries
                details.delivered_retries, details.queue = known.retries, known.queue
                details.sent_at = details.first_sent_at = known.sent_at
                details.eta, task.started_at = known.eta, known.started_at
                if known.started_at is not None:
                    details.awaits_sent, details.awaited_receipt = True, known.received_at
            task.worker = known.worker
            if known.running_since is not None:
                in_flight.start(task, now=now - max(0.0, wall - known.running_since))
        in_flight.trim()

    def learn_names(self, tasks: Iterable[TaskInFlight]) -> None:
        """Remember the names of tasks that workers held before we listened; they may have ended."""
        in_flight = self.in_flight
        for known in tasks:
            uuid, name = known.uuid, known.name
            if uuid not in in_flight and in_flight.recently_ended.find(uuid) is None:
                in_flight.recently_ended.note(uuid, name, None)

    def take_ended(self) -> list[Ending]:
        """Return the tasks that ended since the last call; none if nobody wants them."""
        if not self.ended:
            return []
        ended, self.ended = self.ended, []
        return ended

    def count_vanished(self, task: InFlightTask) -> None:
        """Count a task whose worker said that it runs nothing, and name the first of a window."""
        cell = self._cell_of(task, task.worker)
        (cell.counters or self.cells.open(cell, self.window)).count("vanished")
        if len(self.window.vanished) < _MAX_VANISHED:
            self.window.vanished.append(VanishedTask(task.uuid, task.name or UNKNOWN, task.worker))

    # -- a run begins --------------------------------------------------------------------

    def _enter(
        self, uuid: str, name: str | None, hostname: str | None, queue: str | None = None
    ) -> InFlightTask:
        """Put a task in flight (again), under the name it had before if none is given."""
        if name is None:
            before = self.in_flight.recently_ended.find(uuid)
            name = before.name if before else None
        task = self.in_flight[uuid] = self._make(uuid, name, hostname, queue)
        return task

    def _make(
        self, uuid: str, name: str | None, hostname: str | None, queue: str | None = None
    ) -> InFlightTask:
        cell = self.cells.find(name, hostname, self.window, queue)
        task = self._new_task(uuid, cell)
        if name is not None and cell.name != name:
            task.detail().name = name[:_LONGEST_NAME]
        return task

    def _rename(self, task: InFlightTask, name: str) -> None:
        queue = task.details.queue if task.details is not None else None
        task.cell = self.cells.find(name, task.worker, self.window, queue)
        if task.cell.name != name:
            task.detail().name = name[:_LONGEST_NAME]

    def _move(self, task: InFlightTask, hostname: str) -> None:
        """Give the task to the worker whose event this is; ``by_worker`` counts it there."""
        if task.running_since is not None:
            self.in_flight.stop(task)
        task.worker = hostname
        details = task.details
        if details is None or details.queue is None:
            cell = self.sender.cells.get(task.name or UNKNOWN)
            task.cell = cell or self._cell_of(task, hostname)
        elif not self.cells.is_at(task.cell, details.queue):
            task.cell = self._cell_of(task, hostname)

    def _cell_of(self, task: InFlightTask, hostname: str | None) -> Cell:
        """Return where this task is counted for events of this worker."""
        queue = task.details.queue if task.details is not None else None
        return self.cells.find(task.name, hostname, self.window, queue)

    def _open(self, cell: Cell) -> TaskCounters:
        """Return new counters of this cell, which has none in the open window yet."""
        return self.cells.open(cell, self.window)

    def _receive_again(self, event: ev.TaskEvent, task: InFlightTask | None) -> InFlightTask:
        """Note the receipt of a task that is in flight already, or has no name."""
        uuid, name, hostname, received_at = event.uuid, event.name, event.hostname, event.timestamp
        if task is None:
            task = self._enter(uuid, name, hostname)
            if event.retries:
                self._join_late(task, event.retries)
        elif name and task.name != name:
            self._rename(task, name)
        details = task.detail()
        if details.awaits_sent:  # of the run before: these times are the next one's
            self._settle_queue_time(task)
        self._note_delivery(task, details, event.retries)
        task.received_at, task.started_at = received_at, None
        if details.first_received_at is None:
            details.first_received_at = received_at
        if details.queue is not None:
            self.in_flight.waiting.remove(details.queue, uuid)
        if task.running_since is None:
            task.pid = event.pid
            self._move(task, hostname)
        return task

    @staticmethod
    def _join_late(task: InFlightTask, retries: int) -> None:
        """Note that the first event that came of a task is of its so many-th retry."""
        details = task.detail()
        details.retries_before = details.delivered_retries = retries

    @staticmethod
    def _note_delivery(task: InFlightTask, details: Details, retries: int | None) -> None:
        """Note whether a task is delivered for a retry, or once more though it had begun.

        The delivery says how many retries it comes after; otherwise those count that were seen.
        """
        if retries is None:
            retries = details.retries
        if task.started_at is not None and retries <= details.delivered_retries:
            details.is_redelivered = not details.is_requeued
        details.is_requeued = False
        details.delivered_retries = retries

    def _await_run(
        self, task: InFlightTask, runs: tuple[Sending, ...], *, is_received: bool = False
    ) -> None:
        """Note that the next run of this id was sent already, and that others may follow it."""
        details = task.detail()
        (sent_at, details.queue, details.eta), *others = runs
        details.sent_at, details.later = sent_at, tuple(others)
        if details.queue is not None and not is_received:
            self.in_flight.waiting.add(details.queue, task.uuid, sent_at=sent_at, eta=details.eta)

    # -- a run ends ----------------------------------------------------------------------

    def _end(self, event: ev.TaskEvent) -> TaskCounters | None:
        """Take the task out of flight; return where to count it, or None for a repetition."""
        return self._end_taken(event, self._take(event.uuid, None))

    def _end_taken(self, event: ev.TaskEvent, task: InFlightTask | None) -> TaskCounters | None:
        """End a task that has left those in flight; None: it was not among them."""
        if task is None:
            return self._end_unseen(event)
        details = task.details
        if details is None:
            if task.worker == event.hostname:
                self.sender.running.pop(event.uuid, None)
            else:
                self.in_flight.stop(task)
                task.cell = self._cell_of(task, event.hostname)
            self._note(event.uuid, task.cell.name, event.type)
        elif not self._end_detailed(event, task, details):
            return None
        if self.ended is not None:
            self._keep_ending(task, event)
        counters = task.cell.counters or self.cells.open(task.cell, self.window)
        if details is not None:
            self._count_outcome(event, details, counters)
        since = task.first_at
        if self._time_total and since is not None:
            counters.of("total_time").record(max(0.0, event.timestamp - since))
        return counters

    def _count_outcome(self, event: ev.TaskEvent, details: Details, counters: TaskCounters) -> None:
        """Count what became of retries, and remember a task of which another run may end yet."""
        if details.has_run_twice:
            self._ran_twice[event.uuid] = event.hostname
            if len(self._ran_twice) > _MAX_RAN_TWICE:
                del self._ran_twice[next(iter(self._ran_twice))]
        retries = details.retries
        if retries and event.type in ("task-succeeded", "task-failed"):
            counters.of("retries").record(retries)
            if event.type == "task-succeeded":
                counters.count("recovered")
            elif event.type == "task-failed":
                counters.count("exhausted")

    def _end_detailed(self, event: ev.TaskEvent, task: InFlightTask, details: Details) -> bool:
        """End a task with details; return whether it did, and this is no repetition."""
        in_flight = self.in_flight
        if task.received_at is None and task.started_at is None and task.running_since is None:
            before = in_flight.recently_ended.find(task.uuid)
            if before is not None and before.how == event.type:  # of the run before
                in_flight[task.uuid] = task
                return False
        if details.awaits_sent:
            self._overtaken.add(task.uuid)
            self._settle_queue_time(task)
        # What was sent after this run began is another run's, under the same id.
        is_used_again = task.running_since is not None and details.sent_at is not None
        in_flight.stop(task)
        if details.queue is not None:
            in_flight.waiting.remove(details.queue, task.uuid)
        if task.worker != event.hostname:
            task.cell = self._cell_of(task, event.hostname)
        was_sent = details.first_sent_at is not None
        self._note(task.uuid, task.name, event.type, was_sent=was_sent)
        if is_used_again:
            self._enter_again(task, details)
        return True

    def _enter_again(self, task: InFlightTask, details: Details) -> None:
        """Put the next run of a task that has just ended in flight."""
        following = self._enter(task.uuid, task.name, None, details.queue)
        if task.started_at is None:  # it was received while the other still ran
            following.received_at = task.received_at
        sending = Sending(details.sent_at or 0.0, details.queue, details.eta)
        self._await_run(following, (sending, *details.later), is_received=task.started_at is None)
        following.detail().first_sent_at = details.sent_at

    def _end_unseen(self, event: ev.TaskEvent) -> TaskCounters | None:
        """Count the end of a task that is not in flight; None if it had ended like this already.

        It has the name it had before, if it was seen at all.
        """
        uuid = event.uuid
        before = self.in_flight.recently_ended.find(uuid)
        is_repeated = before is not None and before.how == event.type
        ended_on = self._ran_twice.get(uuid)
        # A hard time limit is reported twice, by the worker that enforces it.
        is_one_end = is_repeated and event.type == "task-failed" and ended_on == event.hostname
        if ended_on is not None and not is_one_end:
            cell = self.cells.find(before.name if before else None, event.hostname, self.window)
            (cell.counters or self.cells.open(cell, self.window)).count("duplicated")
        if is_repeated:
            return None
        task = self._make(uuid, before.name if before else None, event.hostname)
        was_sent = before is not None and before.was_sent
        self._note(uuid, task.name, event.type, was_sent=was_sent)
        if self.ended is not None:
            self._keep_ending(task, event)
        return task.cell.counters or self.cells.open(task.cell, self.window)

    def _keep_ending(self, task: InFlightTask, event: ev.TaskEvent) -> None:
        """Keep a task that has ended for the consumers of tasks, if it is wanted."""
        if self._failures_only and event.type != "task-failed":
            return
        ended, weight = self.ended, 1.0
        is_chosen = event.type == "task-succeeded" and not (task.details and task.details.retries)
        if is_chosen and self._weigh is not None:
            weight = self._weigh(event.uuid, task.cell.name, event.runtime)
        if ended is not None and weight:
            ended.append(Ending(task, event, weight))

    def _has_just_ended(self, uuid: str, how: str) -> bool:
        """Return whether the task ended like this, and was not seen since."""
        if uuid in self.in_flight:
            return False
        before = self.in_flight.recently_ended.find(uuid)
        return before is not None and before.how == how

    def _interrupt(self, event: ev.TaskEvent, *, is_retry: bool = False) -> TaskCounters:
        """Note that this run is over, and the task will be received again; return where to count.

        The next run may have begun elsewhere before this event arrived: then it is left running.
        (On the same worker it cannot be told apart; such a run shows again when it ends.)
        """
        task = self._find(event.uuid)
        if task is None:
            ended = self.in_flight.recently_ended.find(event.uuid)
            cell = self.cells.find(ended.name if ended else None, event.hostname, self.window)
        else:
            details = task.detail()
            if is_retry:
                details.retried += 1
                if self.ended is not None and not self._failures_only:
                    self.ended.append(Ending(frozen(task), event))
            else:
                details.is_requeued = event.type == "task-rejected"
            cell = task.cell
            if task.worker == event.hostname:
                if details.awaits_sent:
                    self._settle_queue_time(task)
                self.sender.running.pop(task.uuid, None)
                task.running_since = None
            else:
                cell = self._cell_of(task, event.hostname)
        return cell.counters or self.cells.open(cell, self.window)

    # -- how long it waited --------------------------------------------------------------

    def _settle_queue_time(self, task: InFlightTask) -> None:
        """Wait no longer for the task-sent of a run that has started.

        Where producers send task-sent it may come after task-started, so the queue time is not
        recorded until it has come, or the run has ended.
        """
        details = task.details
        if details is not None and details.awaits_sent:
            details.awaits_sent = False
            counters = task.cell.counters or self.cells.open(task.cell, self.window)
            self._record_queue_time(task, details, counters)

    @staticmethod
    def _record_queue_time(task: InFlightTask, details: Details, counters: TaskCounters) -> None:
        """Record how long the run waited, once: start − max(sent, eta).

        Without a task-sent the receipt stands in for it.
        """
        since, eta = details.awaited_receipt, details.eta
        if details.sent_at is not None:
            since = details.sent_at
        details.awaited_receipt = details.sent_at = details.eta = None
        if since is not None and task.started_at is not None:
            since = since if eta is None else max(since, eta)
            counters.of("queue_time").record(max(0.0, task.started_at - since))
