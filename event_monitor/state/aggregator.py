"""Aggregator: what one event changes. Counts it, moves its task along, keeps the roster informed.

Events come in whatever order the broker delivers: order holds within one worker, not between
senders. Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from .. import events as ev
from ..settings import Settings
from ..snapshot import OTHER, UNKNOWN, TaskInFlight, VanishedTask
from ..survey import WorkerAnswer
from .cells import Cells
from .in_flight import ANY_OWNER, Details, InFlightTask, InFlightTasks, Sending
from .loss_meter import LossMeter
from .process import Process
from .roster import Departure, Roster
from .unnamed import UnnamedEvents
from .window import OpenWindow, TaskCounters

__all__ = ["Aggregator", "Loss"]

_FROM_WORKERS = ev.TASK_TYPES - {"task-sent"}
_COMPACT_EVENTS = 32_768  # after so many, the times recorded so far are counted in bulk
_MAX_VANISHED = 10  # tasks named that vanished in one window
_MAX_LATER = 100  # runs of one id that wait, whose task-sent is remembered
_MAX_REJECTIONS = 10_000  # of one window remembered, to take those back that were failures
_SHORTEST_SURVEY_SECONDS = 5.0  # as in ``probes.prober``
_MAX_TYPES = 50  # distinct exception classes, and custom event types, told apart in one window


class Loss(NamedTuple):
    """A worker that died, or left, and the tasks that were running there; when, by our clock.

    ``rerun`` are those that have been delivered again by now.
    """

    departure: Departure
    orphans: Collection[InFlightTask]
    at: float
    rerun: tuple[InFlightTask, ...] = ()


#: A task that has just ended, and the event that ended it.
Ending = tuple[InFlightTask, ev.TaskEvent]


class Aggregator:
    """The open window, the tasks in flight and the roster; ``observe`` brings them up to date.

    ``losses`` are the workers that died, or left, since they were last taken from here. ``ended``
    are the tasks that ended, if somebody wants them; else None.
    """

    def __init__(self, settings: Settings, *, wall: float, keep_ended: bool = False) -> None:
        self.window = OpenWindow(wall)
        self.losses: list[Loss] = []
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
            drain_seconds=settings.worker_drain_seconds,
            survey_seconds=max(settings.interval, _SHORTEST_SURVEY_SECONDS, settings.probe_seconds)
            if settings.probe_workers
            else None,
        )
        self._find, self._take = self.in_flight.get, self.in_flight.pop
        self._note = self.in_flight.recently_ended.note
        # What belongs to the worker whose events are being counted:
        self._loss_meter = LossMeter()
        self._sender = ""
        self._running: dict[str, InFlightTask] = {}
        self._sender_cells = self.cells.of_sender(None)
        self._types: dict[str, float] = {}  # custom event types: when last counted, our clock
        self._announced: set[str] = set()  # names whose producers send task-sent
        self._unnamed = UnnamedEvents()
        self._leaving: list[tuple[Process, Loss]] = []
        self._rejections: dict[str, TaskCounters] = {}  # uuid → where, in the open window
        self._from_workers: set[str] = set()  # names of which a worker has sent an event
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
        self._at_once = self._observers  # while events wait for a name, others stand in for these

    def observe(self, events: Sequence[ev.Event], *, now: float) -> None:
        """Count these events, in this order; ``now`` is our monotonic clock."""
        if self._unnamed.until is not None and now > self._unnamed.until:
            self.stop_awaiting_names()
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
            before = in_flight.recently_ended.find(uuid)
            if before is not None and before.how is not None:
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
        self.stop_awaiting_names()
        in_flight.trim()

    def learn_names(self, tasks: Iterable[TaskInFlight]) -> None:
        """Remember the names of tasks that workers held before we listened; they may have ended."""
        in_flight = self.in_flight
        for known in tasks:
            uuid, name = known.uuid, known.name
            if uuid not in in_flight and in_flight.recently_ended.find(uuid) is None:
                in_flight.recently_ended.note(uuid, name, None)

    def await_names(self, until: float) -> None:
        """Let events of tasks never seen wait for their names until ``learn`` is called.

        ``until``, by our monotonic clock, is when they wait no longer.
        """
        self._unnamed.until = until
        self._observers = {
            type_: observe
            if type_ in ("task-sent", "task-received") or type_ not in ev.TASK_TYPES
            else self._keep_unnamed
            for type_, observe in self._at_once.items()
        }

    def stop_awaiting_names(self) -> None:
        """Count the events that wait for a name, under the one that is known by now."""
        self._observers = self._at_once
        for event, arrived_at in self._unnamed.take():
            self._turn_to(event.hostname, now=arrived_at)
            self._loss_meter = LossMeter()  # its own has counted it when it arrived
            self._at_once[event.type](event, arrived_at)
        self._sender = ""

    def judge(self, *, now: float) -> None:
        """Find out who died and what vanished; ``now`` is our monotonic clock."""
        if self._unnamed.until is not None and now > self._unnamed.until:
            self.stop_awaiting_names()
        in_flight = self.in_flight
        busy = {hostname for hostname, running in in_flight.running_on.items() if running}
        for departure in self.roster.sweep(now=now, busy=busy):
            self.losses.append(self._loss(departure, now))
        for hostname, said_at, owner in self.roster.idle():
            if hostname in busy:
                for task in in_flight.drop_idle(hostname, said_at, owner):
                    self._count_vanished(task)
        in_flight.forget_workers(self.roster)

    def _loss(self, departure: Departure, now: float) -> Loss:
        """Return the departure with the tasks that it leaves behind; these run no more."""
        in_flight, hostname, runs = self.in_flight, departure.hostname, departure.runs
        if runs is None and departure.owner is ANY_OWNER:  # nearly always
            return Loss(departure, in_flight.abandon(hostname), now)
        if runs is None:
            runs = in_flight.runs_of(hostname, departure.owner)
        orphans = tuple(run.task for run in runs if in_flight.is_running(run))
        in_flight.abandon_some(hostname, orphans)
        if departure.said_goodbye:  # it may have handed the others over
            return Loss(departure, orphans, now)
        others = (run for run in runs if not in_flight.is_running(run))
        return Loss(departure, orphans, now, tuple(run.task for run in others if run.is_followed()))

    def note_answers(self, answers: Iterable[WorkerAnswer], *, at: float) -> None:
        """Note who answered when all workers were asked; ``at`` is our monotonic clock."""
        self._note_names()
        self.roster.note_answers(answers, at=at, sends_events=self._sends_events)

    def swap(self, *, now: float, wall: float) -> OpenWindow:
        """Put a new window in the place of the open one, which is returned."""
        window, self.window = self.window, OpenWindow(wall)
        window.tasks_forgotten, self.in_flight.evicted = self.in_flight.evicted, 0
        window.events_lost = self.roster.take_lost_events(now=now)
        window.workers_refused = self.roster.take_refused()
        self._rejections.clear()
        self._note_names(window)
        self.cells.close(window, now=now)
        self._from_workers.intersection_update(self.cells.names)
        self._sender_cells = self.cells.of_sender(None)
        self._announced.intersection_update(self.cells.names)
        self._types = {
            type_: counted_at
            for type_, counted_at in self._types.items()
            if now - counted_at <= self._idle_seconds
        }
        return window

    def take_losses(self) -> tuple[Loss, ...]:
        """Return the workers that died, or left, since the last call."""
        losses, self.losses = tuple(self.losses), []
        return losses

    def take_leaving(self) -> tuple[Loss, ...]:
        """Return the workers that said goodbye, while they ran tasks, since the last call.

        Without those that are back: the goodbye was one of the past.
        """
        leaving, self._leaving = self._leaving, []
        return tuple(loss for process, loss in leaving if not process.is_online)

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
            before = self.in_flight.recently_ended.find(uuid)
            if before is not None and not before.was_sent:
                # A short task: its events overtook the producer's. The next one is a new run's.
                self._note(uuid, before.name, before.how, was_sent=True)
                return
            task = self._enter(uuid, name, None)
        elif task.name != name:
            self._rename(task, name)
        details = task.detail()
        if details.sent_at is not None and not details.awaits_sent:  # its id is used twice at once
            eta = ev.epoch_of(event.eta) if event.eta else None
            if len(details.later) < _MAX_LATER:
                details.later = (*details.later, Sending(sent_at, event.queue, eta))
            return
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
            counters.prefetch_time.record(held)
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
        if details.later:
            self._await_run(task, details.later)

    def _await_run(
        self, task: InFlightTask, runs: tuple[Sending, ...], *, is_received: bool = False
    ) -> None:
        """Note that the next run of this id was sent already, and that others may follow it."""
        details = task.detail()
        (sent_at, details.queue, details.eta), *others = runs
        details.sent_at, details.later = sent_at, tuple(others)
        if details.queue is not None and not is_received:
            self.in_flight.waiting.add(details.queue, task.uuid, sent_at=sent_at, eta=details.eta)

    def _on_succeeded(self, event: ev.TaskEvent, now: float) -> None:
        del now
        counters = self._end(event)
        if counters is not None:
            counters.succeeded += 1
            if event.runtime is not None:
                counters.runtime.record(event.runtime)

    def _on_failed(self, event: ev.TaskEvent, now: float) -> None:
        if ev.is_rejection(event):  # its task-rejected follows, if the message was not acknowledged
            event = msgspec.structs.replace(event, type="task-rejected")
            self._on_rejected(event, now)
            return
        was_rejected = self._has_just_ended(event.uuid, "task-rejected")
        counters = self._end(event)
        if counters is None:
            return
        if was_rejected:  # it failed with `acks_on_failure_or_timeout` off, and so was rejected
            before = self._rejections.pop(event.uuid, None)
            if before is None:
                return  # that is counted, in a window that is closed
            before.rejected -= 1
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
        if counters is None:
            return
        counters.rejected += 1
        if len(self._rejections) < _MAX_REJECTIONS:
            self._rejections[event.uuid] = counters

    def _on_retried(self, event: ev.TaskEvent, now: float) -> None:
        del now
        self._interrupt(event, is_retry=True).retried += 1

    def _on_cancelled(self, event: ev.TaskEvent, now: float) -> None:
        del now
        self._interrupt(event).cancelled += 1

    def _on_heartbeat(self, event: ev.WorkerEvent, now: float) -> None:
        hostname = event.hostname
        predecessor = self.roster.heartbeat(event, now=now)
        if predecessor is not None and predecessor.runs is None:
            owner = self.roster.owner_of(hostname, predecessor)
            predecessor.runs = self.in_flight.runs_of(hostname, owner)
        if hostname == self._sender:
            self._loss_meter = self.roster.meter_of(hostname)

    def _on_goodbye(self, event: ev.WorkerEvent, now: float) -> None:
        hostname = event.hostname
        process = self.roster.goodbye(event, now=now)
        if hostname == self._sender:
            self._loss_meter = self.roster.meter_of(hostname)
        if process is None:
            return
        running = process.runs
        if running is None:
            owner = self.roster.owner_of(hostname, process)
            running = self.in_flight.runs_of(hostname, owner)
        running = tuple(run for run in running if self.in_flight.is_running(run))
        if running:
            departure = Departure(hostname, 0.0, said_goodbye=True)
            loss = Loss(departure, tuple(run.task for run in running), now)
            self._leaving.append((process, loss))

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

    def _keep_unnamed(self, event: ev.TaskEvent, now: float) -> None:
        """Let an event wait that concerns a task never seen; count any other at once."""
        uuid, unnamed = event.uuid, self._unnamed
        is_known = uuid in self.in_flight or self.in_flight.recently_ended.find(uuid) is not None
        if uuid not in unnamed and (is_known or unnamed.is_full):
            self._at_once[event.type](event, now)
            return
        unnamed.keep(event, now)
        if event.type == "task-started":
            self._loss_meter.started(event.timestamp)

    # -- what they share -----------------------------------------------------------------------

    def _turn_to(self, hostname: str, *, now: float) -> None:
        """Count the events of this worker from now on."""
        self._sender = hostname
        self._loss_meter = self.roster.task_event(hostname, now=now)
        self._running = self.in_flight.on_worker(hostname)
        self._sender_cells = self.cells.of_sender(hostname)

    def _count_vanished(self, task: InFlightTask) -> None:
        cell = self.cells.find(task.name, task.worker, self.window)
        (cell.counters or self.cells.open(cell, self.window)).vanished += 1
        if len(self.window.vanished) < _MAX_VANISHED:
            self.window.vanished.append(VanishedTask(task.uuid, task.name or UNKNOWN, task.worker))

    def _note_names(self, window: OpenWindow | None = None) -> None:
        """Note of which task names a worker has sent events."""
        for name, _, counters in (window or self.window).cells:
            if counters.received or counters.started:
                self._from_workers.add(name)

    def _sends_events(self, name: str) -> bool:
        """Return whether an event of tasks of that name ever came from a worker.

        It is not known of those that are counted together.
        """
        return name in self._from_workers or OTHER in self._from_workers

    def _has_just_ended(self, uuid: str, how: str) -> bool:
        """Return whether the task ended like this, and was not seen since."""
        if uuid in self.in_flight:
            return False
        before = self.in_flight.recently_ended.find(uuid)
        return before is not None and before.how == how

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
        uuid = event.uuid
        task = self._take(uuid, None)
        if task is None:
            return self._end_unseen(event)
        details = task.details
        if details is None:  # nearly always
            if task.worker == event.hostname:
                self._running.pop(uuid, None)
            else:
                self.in_flight.stop(task)
                task.cell = self.cells.find(task.name, event.hostname, self.window)
            self._note(uuid, task.cell.name, event.type)
        elif not self._end_detailed(event, task, details):
            return None
        if self.ended is not None:
            self.ended.append((task, event))
        cell = task.cell
        return cell.counters or self.cells.open(cell, self.window)

    def _end_detailed(self, event: ev.TaskEvent, task: InFlightTask, details: Details) -> bool:
        """End a task with details; return whether it did, and this is no repetition."""
        in_flight = self.in_flight
        if task.received_at is None and task.started_at is None and task.running_since is None:
            before = in_flight.recently_ended.find(task.uuid)
            if before is not None and before.how == event.type:  # of the run before
                in_flight[task.uuid] = task
                return False
        self._settle_queue_time(task)
        # What was sent after this run began is another run's, under the same id.
        is_used_again = task.running_since is not None and details.sent_at is not None
        in_flight.stop(task)
        if task.worker != event.hostname:
            task.cell = self.cells.find(task.name, event.hostname, self.window)
        was_sent = details.first_sent_at is not None
        self._note(task.uuid, task.name, event.type, was_sent=was_sent)
        if is_used_again:
            self._enter_again(task, details)
        return True

    def _enter_again(self, task: InFlightTask, details: Details) -> None:
        """Put the next run of a task that has just ended in flight."""
        following = self._enter(task.uuid, task.name, None)
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
        if before is not None and before.how == event.type:
            return None
        task = self._make(uuid, before.name if before else None, event.hostname)
        was_sent = before is not None and before.was_sent
        self._note(uuid, task.name, event.type, was_sent=was_sent)
        if self.ended is not None:
            self.ended.append((task, event))
        return task.cell.counters or self.cells.open(task.cell, self.window)

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
