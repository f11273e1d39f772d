"""Aggregator: what one event changes. Counts it, moves its task along, keeps the roster informed.

Events come in whatever order the broker delivers: order holds within one worker, not between
senders. Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from .. import events as ev
from ..settings import Settings
from ..snapshot import OTHER, UNKNOWN, TaskInFlight
from .cells import Cells
from .in_flight import Details, InFlightTask, InFlightTasks
from .loss_meter import LossMeter
from .roster import Departure, Roster
from .window import OpenWindow, TaskCounters

__all__ = ["Aggregator", "Loss"]

_FROM_WORKERS = ev.TASK_TYPES - {"task-sent"}
_COMPACT_EVENTS = 32_768  # after so many, the times recorded so far are counted in bulk
_REJECT = b'"reject requeue='  # how the repr of Celery's `Reject` begins, in JSON
_ANSWERS = 3  # questions in a row that a worker without heartbeats may leave unanswered
_SHORTEST_PERIOD_SECONDS = 5.0  # workers are not asked more often
_MAX_TYPES = 50  # distinct exception classes, and custom event types, told apart in one window


class Loss(NamedTuple):
    """A worker that died, or left, and the tasks that were running there; when, by our clock."""

    departure: Departure
    orphans: Collection[InFlightTask]
    at: float


def _is_undecided(loss: Loss, hostname: str) -> bool:
    departure = loss.departure
    return departure.hostname == hostname and departure.undecided_seconds > 0


#: A task that has just ended, and the event that ended it.
Ending = tuple[InFlightTask, ev.TaskEvent]


class Aggregator:
    """The open window, the tasks in flight and the roster; ``observe`` brings them up to date.

    ``losses`` are the workers that died, or left, since they were last taken from here. ``ended``
    are the tasks that ended, if somebody wants them; else None. ``leaving`` are the workers that
    said goodbye, with the tasks they still run.
    """

    def __init__(self, settings: Settings, *, wall: float, keep_ended: bool = False) -> None:
        self.window = OpenWindow(wall)
        self.losses: list[Loss] = []
        self.leaving: list[Loss] = []
        self.ended: list[Ending] | None = [] if keep_ended else None
        self.in_flight = InFlightTasks(limit=settings.max_tasks_in_flight)
        self.cells = Cells(
            max_names=settings.max_task_names,
            idle_seconds=settings.idle_series_seconds,
            by_worker=bool(settings.by_worker),
        )
        self.roster = Roster(
            grace_seconds=settings.worker_grace_seconds,
            grace_beats=settings.worker_grace_beats,
            forget_seconds=settings.worker_forget_seconds,
            max_workers=settings.max_workers,
            asks=settings.probe_workers,
            answers_grace_seconds=_ANSWERS
            * max(settings.interval, settings.probe_seconds, _SHORTEST_PERIOD_SECONDS),
        )
        self._drain_seconds = settings.worker_drain_seconds
        self._find, self._take = self.in_flight.get, self.in_flight.pop
        self._note = self.in_flight.recently_ended.note
        # What belongs to the worker whose events are being counted:
        self._loss_meter = LossMeter()
        self._sender = ""
        self._running: dict[str, InFlightTask] = {}
        self._sender_cells = self.cells.of_sender(None)
        self._types: dict[str, float] = {}  # custom event types: when last counted, our clock
        self._announced: set[str] = set()  # names whose producers send task-sent
        self._uncompacted = 0  # events observed since times were last counted in bulk
        self._by_worker = bool(settings.by_worker)
        self._by_exception = settings.by_exception
        self._idle_seconds = settings.idle_series_seconds
        self._observers: dict[str, Callable[[Any, float], None]] = {
            "task-sent": self._on_sent,
            "task-received": self._on_received,
            "task-started": self._on_started,
            "task-succeeded": self._on_succeeded,
            "task-failed": self._on_failed,
            "task-retried": self._on_retried,
            "task-revoked": self._on_revoked,
            "task-rejected": self._on_rejected,
            "task-cancelled": self._on_cancelled,
            "worker-online": self._on_heartbeat,
            "worker-heartbeat": self._on_heartbeat,
            "worker-offline": self._on_goodbye,
        }

    def observe(self, events: Sequence[ev.Event], *, now: float) -> None:
        """Count these events, in this order; ``now`` is our monotonic clock."""
        self.window.events_received += len(events)
        find, on_custom, sender = self._observers.get, self._on_custom, ""
        running_on = self.in_flight.running_on.get
        for event in events:
            type_ = event.type
            if event.hostname != sender and type_ in _FROM_WORKERS:
                sender = self._sender = event.hostname
                self._loss_meter = self.roster.task_event(sender, now=now)
                running = running_on(sender)
                self._running = self.in_flight.on_worker(sender) if running is None else running
                if self._by_worker:
                    self._sender_cells = self.cells.of_sender(sender)
            find(type_, on_custom)(event, now)
        self.in_flight.trim()
        self._uncompacted += len(events)
        if self._uncompacted >= _COMPACT_EVENTS:
            self._uncompacted = 0
            self.window.compact()

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
            if in_flight.recently_ended.find(uuid):
                continue
            task = self._enter(uuid, known.name, known.worker)
            task.pid, task.received_at = known.pid, known.received_at
            if known.sent_at is not None or known.eta is not None or known.started_at is not None:
                details = task.detail()
                details.sent_at = details.first_sent_at = known.sent_at
                details.eta, task.started_at = known.eta, known.started_at
                if known.started_at is not None:
                    details.awaits_sent, details.awaited_receipt = True, known.received_at
            task.worker = known.worker
            if known.running_since is not None:
                in_flight.start(task, now=now - max(0.0, wall - known.running_since))
        in_flight.trim()

    def judge(self, departures: Iterable[Departure], *, now: float) -> None:
        """Note who died, with the tasks that died with them; ``now`` is our monotonic clock."""
        for departure in departures:
            orphans = self.in_flight.abandon(departure.hostname, spare_pid=departure.successor_pid)
            self.losses.append(Loss(departure, orphans, now))
            self._refresh_running(departure.hostname)

    def swap(self, *, now: float, wall: float) -> OpenWindow:
        """Put a new window in the place of the open one, which is returned."""
        window, self.window = self.window, OpenWindow(wall)
        window.tasks_forgotten, self.in_flight.evicted = self.in_flight.evicted, 0
        window.events_lost = self.roster.take_lost_events()
        window.workers_refused = self.roster.take_refused()
        self.cells.close(window, now=now)
        self._sender_cells = self.cells.of_sender(None)
        self._announced.intersection_update(self.cells.names)
        self._types = {
            type_: counted_at
            for type_, counted_at in self._types.items()
            if now - counted_at <= self._idle_seconds
        }
        return window

    def sweep(self, *, now: float, listening_since: float | None) -> None:
        """Judge workers and tasks by what did not come; see ``Roster.sweep``."""
        in_flight, roster = self.in_flight, self.roster
        running_on = in_flight.running_on
        departures = roster.sweep(
            now=now,
            listening_since=listening_since,
            is_running=lambda hostname: bool(running_on.get(hostname)),
        )
        self.judge(departures, now=now)
        if listening_since is not None:
            for draining in in_flight.take_drained(before=now - self._drain_seconds):
                departure = Departure(draining.hostname, now - draining.since, said_goodbye=True)
                self.losses.append(Loss(departure, tuple(draining.tasks.values()), now))
        for task in in_flight.drop_idle(roster.idle()):
            (task.cell.counters or self.cells.open(task.cell, self.window)).vanished += 1
        in_flight.forget_workers(roster)

    def take_losses(self, *, now: float) -> tuple[Loss, ...]:
        """Return the workers that died, or left, since the last call, as far as it is certain."""
        losses, self.losses = self.losses, []
        certain: list[Loss] = []
        for loss in losses:
            undecided_seconds = loss.departure.undecided_seconds
            if not undecided_seconds:
                certain.append(loss)
            elif now - loss.at < undecided_seconds:
                self.losses.append(loss)
            else:  # what ended meanwhile is no orphan
                orphans = tuple(filter(self._is_in_flight, loss.orphans))
                certain.append(loss._replace(orphans=orphans))
        return tuple(certain)

    def take_leaving(self) -> tuple[Loss, ...]:
        """Return the workers that said goodbye, while they ran tasks, since the last call."""
        leaving, self.leaving = tuple(self.leaving), []
        return leaving

    def _is_in_flight(self, task: InFlightTask) -> bool:
        return self._find(task.uuid) is task

    def take_ended(self) -> list[Ending]:
        """Return the tasks that ended since the last call; none if nobody wants them."""
        if not self.ended:
            return []
        ended, self.ended = self.ended, []
        return ended

    # -- one event each ------------------------------------------------------------------------

    def _on_sent(self, event: ev.TaskEvent, now: float) -> None:
        del now
        uuid, name, sent_at = event.uuid, event.name or UNKNOWN, event.timestamp
        cell = self.cells.find(name, None, self.window)
        (cell.counters or self.cells.open(cell, self.window)).sent += 1
        if cell.name == name:  # else it is folded
            self._announced.add(name)
        task = self._find(uuid)
        if task is None:
            ended = self.in_flight.recently_ended.find(uuid)
            if ended is not None and not ended.was_sent:  # a short task overtook its task-sent
                self._note(uuid, ended.name, ended.how, was_sent=True)
                return
            task = self._enter(uuid, name, None)
        elif task.name != name:
            self._rename(task, name)
        details = task.detail()
        details.queue = event.queue
        if details.first_sent_at is None:
            details.first_sent_at = sent_at
        if details.awaits_sent:
            is_of_this_run = task.started_at is None or sent_at <= task.started_at
            if is_of_this_run:
                details.sent_at = sent_at
            self._settle_queue_time(task)
            if is_of_this_run:
                return
        details.sent_at = sent_at
        details.eta = ev.epoch_of(event.eta) if event.eta else None
        waits = task.received_at is None or (task.started_at or sent_at) < sent_at
        if waits and event.queue is not None:
            self.in_flight.waiting.add(event.queue, uuid, sent_at=sent_at, eta=details.eta)

    def _on_received(self, event: ev.TaskEvent, now: float) -> None:
        del now
        uuid, name, hostname = event.uuid, event.name, event.hostname
        task = self._find(uuid)
        if task is None and name:  # nearly always
            cell = self._sender_cells.get(name)
            if cell is None:
                task = self._enter(uuid, name, hostname)
                cell, task.worker = task.cell, hostname
                task.pid, task.received_at = event.pid, event.timestamp
            else:
                task = InFlightTask(uuid, cell, hostname, event.pid, event.timestamp)
                self.in_flight[uuid] = task
        else:
            task = self._receive_again(event, task)
            cell = task.cell
            if task.worker != hostname:  # it still runs elsewhere
                cell = self.cells.find(task.name, hostname, self.window)
        (cell.counters or self.cells.open(cell, self.window)).received += 1
        if event.eta:
            task.detail().eta = ev.epoch_of(event.eta)

    def _on_started(self, event: ev.TaskEvent, now: float) -> None:
        uuid, timestamp, hostname = event.uuid, event.timestamp, event.hostname
        self._loss_meter.started(timestamp)
        task = self._find(uuid) or self._enter(uuid, None, hostname)
        details = task.details
        if details is not None and details.awaits_sent:  # an earlier run, without its task-sent
            self._settle_queue_time(task)
        received_at, held = task.received_at if task.started_at is None else None, None
        if task.worker != hostname:
            self._move(task, hostname)
        elif received_at is not None:
            held = timestamp - received_at if timestamp > received_at else 0.0
        cell = task.cell
        counters = cell.counters or self.cells.open(cell, self.window)
        counters.started += 1
        if held is not None and (details is None or details.eta is None):
            counters.prefetch_time.record(held)  # with an eta the worker holds it on purpose
        self._running[uuid] = task
        task.pid, task.started_at, task.running_since = event.pid, timestamp, now
        if details is None and cell.name not in self._announced:  # nearly always
            if held is not None:  # as far as we know it waited since its receipt
                counters.queue_time.record(held)
            elif received_at is not None:
                counters.queue_time.record(max(0.0, timestamp - received_at))
        else:
            self._start_detailed(task, received_at, counters)

    def _start_detailed(
        self, task: InFlightTask, received_at: float | None, counters: TaskCounters
    ) -> None:
        """Record the queue time of a run, unless it has to wait for the run's task-sent."""
        details = task.detail()
        if details.queue is not None:
            self.in_flight.waiting.remove(details.queue, task.uuid)
        details.awaited_receipt = received_at
        if details.sent_at is None and task.name in self._announced:
            details.awaits_sent = True
        else:
            self._record_queue_time(task, details, counters)

    def _on_succeeded(self, event: ev.TaskEvent, now: float) -> None:
        del now
        counters = self._end(event)
        if counters is not None:
            counters.succeeded += 1
            if event.runtime is not None:
                counters.runtime.record(event.runtime)

    def _on_failed(self, event: ev.TaskEvent, now: float) -> None:
        del now
        if bytes(memoryview(event.exception)[: len(_REJECT)]) == _REJECT:
            return  # task-rejected follows, and says what becomes of the task
        counters = self._end(event)
        if counters is None:
            return
        counters.failed += 1
        if self._by_exception:
            exceptions = self.window.exceptions
            name = ev.exception_type(event)
            if name not in exceptions and len(exceptions) >= _MAX_TYPES:
                name = OTHER
            exceptions[name] = exceptions.get(name, 0) + 1

    def _on_revoked(self, event: ev.TaskEvent, now: float) -> None:
        del now
        counters = self._end(event)
        if counters is not None:
            counters.revoked += 1
            counters.expired += bool(event.expired)
            counters.terminated += bool(event.terminated)

    def _on_rejected(self, event: ev.TaskEvent, now: float) -> None:
        del now
        if event.requeue:
            self._interrupt(event).rejected += 1
            return
        counters = self._end(event)
        if counters is not None:
            counters.rejected += 1

    def _on_retried(self, event: ev.TaskEvent, now: float) -> None:
        del now
        self._interrupt(event, is_retry=True).retried += 1

    def _on_cancelled(self, event: ev.TaskEvent, now: float) -> None:
        del now
        self._interrupt(event).cancelled += 1

    def _on_heartbeat(self, event: ev.WorkerEvent, now: float) -> None:
        roster = self.roster
        departure = roster.heartbeat(event, now=now)
        if departure is not None:
            self.judge((departure,), now=now)
        if roster.refuted or roster.resumed:
            self._take_back(event.hostname)

    def _on_goodbye(self, event: ev.WorkerEvent, now: float) -> None:
        if self.roster.goodbye(event, now=now):
            tasks = self.in_flight.drain(event.hostname, now=now)
            if tasks:
                self.leaving.append(
                    Loss(Departure(event.hostname, 0.0, said_goodbye=True), tasks, now)
                )
            self._refresh_running(event.hostname)

    def _take_back(self, hostname: str) -> None:
        """Let run again what seemed to have died with its process, or drained with it."""
        if hostname in self.roster.refuted:
            undecided = [loss for loss in self.losses if _is_undecided(loss, hostname)]
            for loss in undecided:
                self.losses.remove(loss)
                self.in_flight.restore(loss.orphans, hostname, at=loss.at)
        if hostname in self.roster.resumed:
            self.in_flight.resume(hostname)
        self.roster.refuted.clear()
        self.roster.resumed.clear()
        self._refresh_running(hostname)

    def _refresh_running(self, hostname: str) -> None:
        """Look up the running tasks again, if they are of the worker whose events are counted."""
        if hostname == self._sender:
            self._running = self.in_flight.on_worker(hostname)

    def _on_custom(self, event: ev.CustomEvent, now: float) -> None:
        counts = self.window.custom_events
        type_ = event.type
        if type_ == ev.OWN_EVENT:
            self.window.events_received -= 1
            return
        if type_ not in self._types and len(self._types) >= _MAX_TYPES:
            type_ = OTHER
        else:
            self._types[type_] = now
        counts[type_] = counts.get(type_, 0) + 1

    # -- what they share -----------------------------------------------------------------------

    def _enter(self, uuid: str, name: str | None, hostname: str | None) -> InFlightTask:
        """Put a task in flight (again), under the name it had before if none is given."""
        if name is None:
            before = self.in_flight.recently_ended.find(uuid)
            name = before.name if before else None
        task = self.in_flight[uuid] = self._make(uuid, name, hostname)
        return task

    def _make(self, uuid: str, name: str | None, hostname: str | None) -> InFlightTask:
        task = InFlightTask(uuid, self.cells.find(name, hostname, self.window))
        if name is not None and task.cell.name != name:
            task.detail().name = name
        return task

    def _rename(self, task: InFlightTask, name: str) -> None:
        task.cell = self.cells.find(name, task.worker, self.window)
        if task.cell.name != name:
            task.detail().name = name

    def _move(self, task: InFlightTask, hostname: str) -> None:
        """Give the task to the worker whose event this is; ``by_worker`` counts it there."""
        if task.running_since is not None:
            self.in_flight.stop(task)
        task.worker = hostname
        task.cell = self.cells.find(task.name, hostname, self.window)

    def _receive_again(self, event: ev.TaskEvent, task: InFlightTask | None) -> InFlightTask:
        """Note the receipt of a task that is in flight already, or has no name."""
        uuid, name, hostname, received_at = event.uuid, event.name, event.hostname, event.timestamp
        if task is None:
            task = self._enter(uuid, name, hostname)
        elif name and task.name != name:
            self._rename(task, name)
        details = task.detail()
        if details.awaits_sent:  # of the run before: these times are the next one's
            self._settle_queue_time(task)
        task.received_at, task.started_at = received_at, None
        if details.first_received_at is None:
            details.first_received_at = received_at
        if details.queue is not None:
            self.in_flight.waiting.remove(details.queue, uuid)
        if task.running_since is None:
            task.pid = event.pid
            self._move(task, hostname)
        return task

    def _end(self, event: ev.TaskEvent) -> TaskCounters | None:
        """Take the task out of flight; return where to count it, or None for a repetition."""
        uuid, how = event.uuid, event.type
        task = self._take(uuid, None)
        if task is None:
            task = self._recall(event)
            if task is None:
                return None
        else:
            if task.details is not None:
                self._settle_queue_time(task)
            if task.details is None and task.worker == event.hostname:  # nearly always
                if self._running.pop(uuid, None) is None and self.in_flight.draining:
                    self.in_flight.end_draining(uuid)
            else:
                self.in_flight.stop(task)
            if task.worker != event.hostname:
                task.cell = self.cells.find(task.name, event.hostname, self.window)
        cell = task.cell
        details = task.details
        if details is None:  # nearly always
            self._note(uuid, cell.name, how)
        else:
            self._note(uuid, task.name, how, was_sent=details.first_sent_at is not None)
        if self.ended is not None:
            self.ended.append((task, event))
        return cell.counters or self.cells.open(cell, self.window)

    def _recall(self, event: ev.TaskEvent) -> InFlightTask | None:
        """Return a task that ended without being in flight; None if it had ended like this already.

        It has the name it had before, if it was seen at all.
        """
        before = self.in_flight.recently_ended.find(event.uuid)
        if before is not None and before.how == event.type:
            return None
        return self._make(event.uuid, before.name if before else None, event.hostname)

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
            if is_retry:
                task.detail().retries += 1
            cell = task.cell
            if task.worker == event.hostname:
                self._settle_queue_time(task)
                self.in_flight.stop(task)
            else:
                cell = self.cells.find(task.name, event.hostname, self.window)
        return cell.counters or self.cells.open(cell, self.window)

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
            counters.queue_time.record(max(0.0, task.started_at - since))
