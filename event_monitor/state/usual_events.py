"""Usual events: received, started and succeeded of a task of which there is no more to know.

Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from typing import Any, TypeAlias

from .. import events as ev
from .in_flight import InFlightTask
from .sender import Sender
from .task_events import TaskEvents

__all__ = ["Observer", "UsualEvents"]

#: Counts one event, given our monotonic clock.
Observer: TypeAlias = Callable[[Any, float], None]


class UsualEvents(TaskEvents):
    """Counts nearly all events in one loop, and leaves the others to their methods."""

    def observe(
        self,
        events: Iterable[ev.Event],
        *,
        now: float,
        known: Callable[[str], Sender | None],
        turn_to: Callable[[str, float], Sender],
        others: Callable[[str, Observer], Observer],
        on_custom: Observer,
        unnamed: Sized,
    ) -> None:
        """Count these events, in this order; stop after the first that is put by as ``unnamed``.

        ``now`` is our monotonic clock. ``known`` returns a worker whose events came lately,
        ``turn_to`` any, and ``others`` the observer of an event of this type, or ``on_custom``.

        The trick: what happens to nearly every event is written out here, with all that it needs
        in local variables. A call for each event, and what it looks up, cost a seventh more.
        """
        in_flight, announced, from_workers = self.in_flight, self._announced, ev.FROM_WORKERS
        enter, find = in_flight.setdefault, in_flight.get
        take: Callable[[str, None], InFlightTask | None] = in_flight.pop
        recently_ended, open_counters = self._recently_ended, self._open
        add_hash, add_ending = recently_ended.appenders
        is_plain_receipt, new_task = self._has_plain_receipts, self._new_task
        relate = self._relate if new_task is not InFlightTask else None
        is_plain_end = not self._asks_more
        keeps_endings = self._weigh is not None and self.ended is not None
        hostname = ""
        task: InFlightTask | None
        event: Any  # of the class that its type says, which mypy cannot know
        for event in events:
            type_ = event.type
            if event.hostname != hostname and type_ in from_workers:
                sender = known(event.hostname)
                if sender is None:
                    sender = turn_to(event.hostname, now)
                else:  # nearly always
                    sender.worker.last_seen = now
                self.sender = sender
                # One text for all tasks of a worker: each event brings a copy of its own.
                hostname, meter = sender.hostname, sender.meter
                running, cells = sender.running, sender.cells
            if type_ == "task-received" and is_plain_receipt:
                cell = cells.get(event.name)
                if cell is not None and not event.retries and not event.eta:
                    uuid = event.uuid
                    entered = new_task(uuid, cell, hostname, event.pid, event.timestamp)
                    if enter(uuid, entered) is entered:
                        counters = cell.counters
                        if counters is None:
                            counters = open_counters(cell)
                        counters.received += 1
                        if relate is not None:
                            relate(event)
                        continue
            elif type_ == "task-started":
                uuid = event.uuid
                task = find(uuid)
                if task is not None and task.worker == hostname:
                    cell, received_at, details = task.cell, task.received_at, task.details
                    if (
                        received_at is not None
                        and task.started_at is None
                        and event.sent_at is None
                        and (details is None or details.starts_plainly)
                        and not (announced and cell.name in announced)
                    ):  # as far as we know it waited since its receipt
                        timestamp, pid = event.timestamp, event.pid
                        if timestamp > meter.mark_at:
                            meter.seen_since += 1
                        else:
                            meter.started(timestamp, pid)
                        counters = cell.counters
                        if counters is None:
                            counters = open_counters(cell)
                        counters.started += 1
                        held = counters.held
                        if held is None:
                            held = counters.of("held")
                        held.record(timestamp - received_at if timestamp > received_at else 0.0)
                        running[uuid] = task
                        if task.pid != pid:  # a store costs five times as much
                            task.pid = pid
                        task.started_at, task.running_since = timestamp, now
                        continue
            elif type_ == "task-succeeded" and is_plain_end:
                uuid = event.uuid
                task = take(uuid, None)
                if task is not None:
                    if task.details is not None or running.pop(uuid, None) is None:
                        self._succeed(event, task)
                        continue
                    cell = task.cell
                    add_hash(hash(uuid))
                    add_ending(cell.succeeded)
                    counters = cell.counters
                    if counters is None:
                        counters = open_counters(cell)
                    counters.succeeded += 1
                    if event.runtime is not None:
                        counters.runtime.record(event.runtime)
                    if keeps_endings:
                        self._keep_ending(task, event)
                    continue
            others(type_, on_custom)(event, now)
            add_hash, add_ending = recently_ended.appenders
            if unnamed:
                return
            if type_ in ev.WORKER_TYPES:  # it may have changed what its task events need
                hostname = ""
