"""Usual events: received, started and succeeded of a task of which there is nothing more to know.

Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from .. import events as ev
from .in_flight import InFlightTask
from .sender import Sender
from .task_events import TaskEvents

__all__ = ["UsualEvents"]

Observer: TypeAlias = Callable[[Any, float], None]


class UsualEvents(TaskEvents):
    """Counts nearly all events in one loop, and leaves the others to their methods."""

    def observe(
        self,
        events: Sequence[ev.Event],
        *,
        now: float,
        known: Callable[[str], Sender | None],
        turn_to: Callable[[str, float], Sender],
        others: Callable[[str, Observer], Observer],
        on_custom: Observer,
    ) -> None:
        """Count these events, in this order; ``now`` is our monotonic clock.

        ``known`` returns a worker whose events came lately, ``turn_to`` any, and ``others`` the
        observer of an event of this type, or ``on_custom``.

        The trick: what happens to nearly every event is written out here, with all that it needs
        in local variables. A call for each event, and what it looks up, cost a third more.
        """
        in_flight, announced, from_workers = self.in_flight, self._announced, ev.FROM_WORKERS
        find, take = in_flight.get, in_flight.pop
        add_hash, add_ending = self._recently_ended.appenders
        is_plain_end = not self._asks_more and self._weigh is None
        hostname = ""
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
            if type_ == "task-received":
                uuid, cell = event.uuid, cells.get(event.name)
                if (
                    cell is not None
                    and not event.retries
                    and not event.eta
                    and uuid not in in_flight
                ):
                    in_flight[uuid] = InFlightTask(uuid, cell, hostname, event.pid, event.timestamp)
                    counters = cell.counters
                    if counters is None:
                        counters = self.cells.open(cell, self.window)
                    counters.received += 1
                    continue
            elif type_ == "task-started":
                uuid = event.uuid
                task = find(uuid)
                if task is not None and task.details is None and task.worker == hostname:
                    cell, received_at = task.cell, task.received_at
                    if (
                        received_at is not None
                        and task.started_at is None
                        and cell.name not in announced
                    ):  # as far as we know it waited since its receipt
                        timestamp, pid = event.timestamp, event.pid
                        if timestamp > meter.mark_at:
                            meter.seen_since += 1
                        else:
                            meter.started(timestamp, pid)
                        counters = cell.counters
                        if counters is None:
                            counters = self.cells.open(cell, self.window)
                        counters.started += 1
                        held = counters.held
                        if held is None:
                            held = counters.of("held")
                        held.record(timestamp - received_at if timestamp > received_at else 0.0)
                        running[uuid] = task
                        task.pid, task.started_at, task.running_since = pid, timestamp, now
                        continue
            elif type_ == "task-succeeded" and is_plain_end:
                uuid = event.uuid
                task = take(uuid, None)
                if (
                    task is not None
                    and task.details is None
                    and running.pop(uuid, None) is not None
                ):  # it ran on the worker that says so
                    cell = task.cell
                    add_hash(hash(uuid))
                    add_ending(cell.succeeded)
                    counters = cell.counters
                    if counters is None:
                        counters = self.cells.open(cell, self.window)
                    counters.succeeded += 1
                    if event.runtime is not None:
                        counters.runtime.record(event.runtime)
                else:
                    self._succeed(event, task)
                continue
            others(type_, on_custom)(event, now)
            add_hash, add_ending = self._recently_ended.appenders
            if type_ in ev.WORKER_TYPES:  # it may have changed what its task events need
                hostname = ""
