"""Task events: what each changes. It counts under the name of its task, and moves the task along.

Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import msgspec

from .. import events as ev
from ..events import RelatedTaskEvent
from ..settings import Settings
from ..snapshot import UNKNOWN
from .cells import Route
from .ended import WeighSuccess, arguments_of
from .in_flight import NO_DETAILS, InFlightTask, RelatedTask, Sending
from .runs import Runs
from .window import MAX_TYPES, OpenWindow, TaskCounters

__all__ = ["TaskEvents"]

_MAX_LATER = 20  # runs of one id that wait, whose task-sent is remembered
_MAX_REJECTIONS = 10_000  # of one window remembered, to take those back that were failures


class TaskEvents(Runs):
    """One method for each type of task event, in ``observers``; set its ``sender`` first."""

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
        super().__init__(
            settings,
            window,
            keep_ended=keep_ended,
            route=route,
            weigh=weigh,
            failures_only=failures_only,
        )
        self._announced: set[str] = set()  # names whose producers send task-sent
        self._rejections: dict[str, TaskCounters] = {}  # uuid → where, in the open window
        self._by_exception = (
            settings.by_exception or settings.by_task_and_exception or bool(settings.http)
        )
        self.observers: dict[str, Callable[[Any, float], None]] = {
            "task-sent": self._on_sent,
            "task-received": self._on_received,
            "task-started": self._on_started,
            "task-succeeded": self._on_succeeded,
            "task-failed": self._on_failed,
            "task-retried": self._on_retried,
            "task-revoked": self._on_revoked,
            "task-rejected": self._on_rejected,
            "task-cancelled": self._on_cancelled,
        }
        if keep_ended and settings.history:
            self.observers["task-sent"] = self._on_sent_related
            self.observers["task-received"] = self._on_received_related
        if keep_ended and {"args", "kwargs"}.intersection(settings.history_details):
            for type_ in ("task-sent", "task-received"):
                self.observers[type_] = partial(self._with_arguments, self.observers[type_])
        # Where tasks of others come, or arguments are kept, each receipt is looked at.
        on_received = self.observers["task-received"]
        is_plain = on_received in (self._on_received, self._on_received_related)
        self._has_plain_receipts = is_plain and not settings.only

    def swap(self, window: OpenWindow, *, now: float) -> OpenWindow:
        """Count in this window from now on; return the one before."""
        closed, self.window = self.window, window
        closed.tasks_forgotten, self.in_flight.evicted = self.in_flight.evicted, 0
        self._rejections.clear()
        self.cells.close(closed, now=now)
        self._announced.intersection_update(self.cells.names)
        return closed

    def _on_sent(self, event: ev.TaskEvent, now: float) -> None:
        uuid, name, sent_at = event.uuid, event.name or UNKNOWN, event.timestamp
        cell = self.cells.find(name, None, self.window, event.queue)
        (cell.counters or self.cells.open(cell, self.window)).sent += 1
        # Of the first of a name, events may have come that tell nothing of its task-sent.
        is_expected = was_announced = name in self._announced
        if cell.name == name:  # else it is folded
            self._announced.add(name)
        was_overtaken = bool(self._overtaken) and self._overtaken.take(uuid)
        task = self._find(uuid)
        if task is None:
            before = self.in_flight.recently_ended.find(uuid)
            if was_overtaken or (before is not None and not before.was_sent):
                # A short task: its events overtook the producer's. The next one is a new run's.
                if before is not None:
                    self._note(uuid, before.name, before.how, was_sent=True)
                if was_announced:
                    self.in_flight.waiting.note_taken(event.queue)
                return
            is_expected = is_expected and before is None
            task = self._enter(uuid, name, None, event.queue)
            if event.retries:
                self._join_late(task, event.retries)
        else:
            details = task.details or NO_DETAILS
            is_expected = (event.retries or 0) > details.delivered_retries
            if sent_at in (details.sent_at, details.first_sent_at):
                return  # this event has come before
            if was_announced and not is_expected and details.first_sent_at is None:
                self.in_flight.waiting.note_taken(event.queue)
            if task.name != name:
                self._rename(task, name)
        details = task.detail()
        if details.sent_at is not None and not details.awaits_sent:  # its id is used twice at once
            eta = ev.epoch_of(event.eta) if event.eta else None
            if len(details.later) < _MAX_LATER and all(sent_at != run.at for run in details.later):
                details.later = (*details.later, Sending(sent_at, event.queue, eta))
            return
        if details.queue != event.queue:
            details.queue = event.queue
            if task.cell is not cell:
                task.cell = self._cell_of(task, task.worker)
        is_first = details.first_sent_at is None and not is_expected
        if details.first_sent_at is None:
            details.first_sent_at = sent_at
        if details.awaits_sent:
            # Producers tell of a task when they have published it: it may have started before.
            is_of_this_run = is_first or task.started_at is None or sent_at <= task.started_at
            if is_of_this_run:
                details.sent_at = sent_at
            self._settle_queue_time(task)
            if is_of_this_run:
                return
        elif is_first and task.started_at is not None:
            return  # its queue time is recorded
        details.sent_at = sent_at
        details.eta = ev.epoch_of(event.eta) if event.eta else None
        waits = task.received_at is None or (task.started_at or sent_at) < sent_at
        if waits and event.queue is not None:
            heard_at = now if is_expected else inf
            self.in_flight.waiting.add(
                event.queue, uuid, sent_at=sent_at, eta=details.eta, heard_at=heard_at
            )

    def _on_sent_related(self, event: ev.TaskEvent, now: float) -> None:
        """Count a task that is sent, and remember which it descends from."""
        self._on_sent(event, now)
        self._relate(event)

    def _on_received(
        self, event: ev.TaskEvent, now: float, new_task: type[InFlightTask] = InFlightTask
    ) -> None:
        del now
        uuid, name, hostname = event.uuid, event.name, event.hostname
        task = self._find(uuid)
        if task is None and name:
            cell = self.sender.cells.get(name)
            if cell is None:
                task = self._enter(uuid, name, hostname)
                cell, task.worker = task.cell, hostname
                task.pid, task.received_at = event.pid, event.timestamp
            else:
                task = new_task(uuid, cell, hostname, event.pid, event.timestamp)
                self.in_flight[uuid] = task
            if event.retries:
                self._join_late(task, event.retries)
        else:
            task = self._receive_again(event, task)
            cell = task.cell
            if task.worker != hostname:  # it still runs elsewhere
                cell = self._cell_of(task, hostname)
        (cell.counters or self.cells.open(cell, self.window)).received += 1
        if event.eta:
            task.detail().eta = ev.epoch_of(event.eta)

    def _on_received_related(self, event: ev.TaskEvent, now: float) -> None:
        """Count a task that is received, and remember which it descends from."""
        self._on_received(event, now, RelatedTask)
        self._relate(event)

    def _relate(self, event: ev.TaskEvent) -> None:
        """Remember a task's root and parent, if the event names others than the task itself."""
        if isinstance(event, RelatedTaskEvent) and (
            event.parent_id is not None or event.root_id != event.uuid
        ):
            task = self._find(event.uuid)
            if isinstance(task, RelatedTask):
                task.root = event.root_id if event.root_id != event.uuid else None
                task.parent = event.parent_id

    def _with_arguments(
        self, observe: Callable[[Any, float], None], event: ev.TaskEvent, now: float
    ) -> None:
        """Count a task that is sent or received, and remember its arguments until it ends."""
        observe(event, now)
        task = self._find(event.uuid)
        if task is not None and isinstance(event, ev.DetailedTaskEvent):
            task.detail().arguments = arguments_of(event)

    def _on_started(self, event: ev.TaskEvent, now: float) -> None:
        uuid, timestamp, hostname = event.uuid, event.timestamp, event.hostname
        self.sender.meter.started(timestamp, event.pid)
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
            counters.of("prefetch_time").record(held)
        self.sender.running[uuid] = task
        task.pid, task.started_at, task.running_since = event.pid, timestamp, now
        # Where task-sent comes it is of this run; the header keeps the time of the first.
        sent_at = event.sent_at if cell.name not in self._announced else None
        if sent_at is not None and self._time_total:
            details = task.detail()
            details.first_sent_at = details.first_sent_at or sent_at
        if details is None and cell.name not in self._announced:
            since = received_at if sent_at is None else sent_at
            if since is not None:
                counters.of("queue_time").record(max(0.0, timestamp - since))
        else:
            if sent_at is not None and details is not None:
                details.sent_at = sent_at
            self._start_detailed(task, received_at, counters)

    def _start_detailed(
        self, task: InFlightTask, received_at: float | None, counters: TaskCounters
    ) -> None:
        """Record the queue time of a run, unless it has to wait for the run's task-sent."""
        details = task.detail()
        if details.is_redelivered:
            details.is_redelivered, details.has_run_twice = False, True
            counters.count("redelivered")
        if details.queue is not None:
            self.in_flight.waiting.remove(details.queue, task.uuid)
        details.awaited_receipt = received_at
        if details.sent_at is None and task.name in self._announced:
            details.awaits_sent = True
        else:
            self._record_queue_time(task, details, counters)
        if details.later:
            self._await_run(task, details.later)

    def _on_succeeded(self, event: ev.TaskEvent, now: float) -> None:
        del now
        self._succeed(event, self._take(event.uuid, None))

    def _succeed(self, event: ev.TaskEvent, task: InFlightTask | None) -> None:
        """Count a success; the task is out of flight already, if it was in flight."""
        counters = self._end_taken(event, task)
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
        task = self._find(event.uuid)
        counters = self._end(event)
        if counters is None:
            return
        if was_rejected:  # it failed with `acks_on_failure_or_timeout` off, and so was rejected
            before = self._rejections.pop(event.uuid, None)
            if before is None:
                return  # that is counted, in a window that is closed
            before.count("rejected", -1)
        counters.failed += 1
        if task is not None and task.started_at is not None and task.worker == event.hostname:
            counters.of("failed_runtime").record(max(0.0, event.timestamp - task.started_at))
        if self._by_exception:
            counters.raised(self._exception_of(event))[0] += 1

    def _on_revoked(self, event: ev.TaskEvent, now: float) -> None:
        del now
        counters = self._end(event)
        if counters is not None:
            counters.count("revoked")
            if event.expired:
                counters.count("expired")
            if event.terminated:
                counters.count("terminated")

    def _on_rejected(self, event: ev.TaskEvent, now: float) -> None:
        del now
        if event.requeue:
            self._interrupt(event).count("rejected")
            return
        counters = self._end(event)
        if counters is None:
            return
        counters.count("rejected")
        if len(self._rejections) < _MAX_REJECTIONS:
            self._rejections[event.uuid] = counters

    def _on_retried(self, event: ev.TaskEvent, now: float) -> None:
        del now
        counters = self._interrupt(event, is_retry=True)
        counters.retried += 1
        if self._by_exception:
            counters.raised(self._exception_of(event))[1] += 1

    def _on_cancelled(self, event: ev.TaskEvent, now: float) -> None:
        del now
        self._interrupt(event).count("cancelled")

    def _exception_of(self, event: ev.TaskEvent) -> str:
        """Return the class of what the task raised; ``other`` beyond the bound."""
        types, name = self.window.exception_types, ev.exception_type(event)
        if name not in types and len(types) >= MAX_TYPES:
            return self.window.fold(name)
        types.add(name)
        return name
