"""Tracker: what one event changes. Counts it, moves its task along, keeps the roster informed.

Events come in whatever order the broker delivers: order holds within one worker, not between
senders. Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from sys import intern
from typing import Any

from .. import events as ev
from ..settings import Settings
from ..snapshot import OTHER, UNKNOWN, OrphanedTask, WorkerLoss
from .in_flight import Flight, Flights
from .loss_meter import Meter
from .roster import Departure, Roster
from .window import OpenWindow, Tally

__all__ = ["Tracker"]

_FROM_WORKERS = ev.TASK_TYPES - {"task-sent"}
_COMPACT_EVENTS = 32_768  # after so many, the times noted so far are counted in bulk
_MAX_TYPES = 50  # distinct exception classes, and custom event types, told apart in one window
_MAX_FOLDED = 10_000  # distinct folded names counted in one window; beyond it the number stands


class Tracker:
    """The open window, the tasks in flight and the roster; ``observe`` brings them up to date.

    ``names`` are the known task names, with our monotonic clock when they were last counted.
    ``losses`` are the workers that died, or left, since they were last taken from here.
    """

    def __init__(self, settings: Settings, *, wall: float) -> None:
        self.window = OpenWindow(wall)
        self.names: dict[str, float] = {}
        self.losses: list[WorkerLoss] = []
        self.flights = Flights(limit=settings.max_tasks_in_flight)
        self._find, self._take = self.flights.get, self.flights.pop
        self._note = self.flights.endings.note
        self.roster = Roster(
            grace_seconds=settings.worker_grace_seconds,
            grace_beats=settings.worker_grace_beats,
            forget_seconds=settings.worker_forget_seconds,
            max_workers=settings.max_workers,
        )
        self._meter = Meter()  # of the worker whose events are being counted
        self._types: dict[str, float] = {}  # of custom events, as `names`: each is a billed series
        self._announced: set[str] = set()  # names whose producers send task-sent
        self._uncompacted = 0  # events observed since times were last counted in bulk
        self._by_worker = bool(settings.by_worker)  # else all tallies are under None
        self._tallies = self._tallies_of(self.window)
        self._by_exception = settings.by_exception
        self._max_names = settings.max_task_names
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
        find, on_custom, heard = self._observers.get, self._on_custom, ""
        for event in events:
            kind = event.type
            if event.hostname != heard and kind in _FROM_WORKERS:
                heard = event.hostname
                self._meter = self.roster.task_event(heard, now=now)
            find(kind, on_custom)(event, now)
        self.flights.trim()
        self._uncompacted += len(events)
        if self._uncompacted >= _COMPACT_EVENTS:
            self._uncompacted = 0
            self.window.compact()

    def judge(self, departures: Iterable[Departure]) -> None:
        """Note who died, with the tasks that died with them."""
        for departure in departures:
            orphans = self.flights.abandon(departure.hostname, spare_pid=departure.successor_pid)
            if orphans or not departure.said_goodbye:
                self.losses.append(
                    WorkerLoss(
                        hostname=departure.hostname,
                        silent_seconds=departure.silent_seconds,
                        orphans=tuple(
                            OrphanedTask(uuid, name or UNKNOWN) for uuid, name in orphans
                        ),
                        said_goodbye=departure.said_goodbye,
                    )
                )

    def swap(self, *, now: float, wall: float) -> OpenWindow:
        """Put a new window in the place of the open one, which is returned."""
        window, self.window = self.window, OpenWindow(wall)
        self._tallies = self._tallies_of(self.window)
        window.tasks_forgotten, self.flights.evicted = self.flights.evicted, 0
        window.events_lost = self.roster.take_lost_events()
        window.workers_refused = self.roster.take_refused()
        self.names.update(dict.fromkeys(window.names(), now))
        self.names = {name: at for name, at in self.names.items() if now - at <= self._idle_seconds}
        self._announced.intersection_update(self.names)
        self._types = {one: at for one, at in self._types.items() if now - at <= self._idle_seconds}
        return window

    # -- one event each ------------------------------------------------------------------------

    def _on_sent(self, event: ev.TaskEvent, now: float) -> None:
        del now
        name = event.name or UNKNOWN
        self._tally(name, None).sent += 1
        if name in self.names or name in self.window.new_names:  # else it is folded
            self._announced.add(name)
        flight = self.flights.get(event.uuid)
        if flight is None:
            if self.flights.endings.find(event.uuid):
                return  # a short task: its news overtook the producer's
            flight = self.flights.open(event.uuid)
        flight.name, flight.queue = name, event.queue
        if flight.started_at is not None:
            if event.timestamp <= flight.started_at:  # of the run that waits for it
                flight.sent_at = event.timestamp
                self._settle_queue_time(flight)
                return
            self._settle_queue_time(flight)
        flight.sent_at = event.timestamp
        flight.eta = ev.epoch_of(event.eta) if event.eta else None

    def _on_received(self, event: ev.TaskEvent, now: float) -> None:
        del now
        uuid, name, hostname = event.uuid, event.name, event.hostname
        flight = self._find(uuid)
        if flight is None and name:  # nearly always
            tally = self._tallies.get(name)
            if tally is None:
                tally, name = self._tally(name, hostname), intern(name)
            else:
                name = tally.name  # thousands of tasks share a few names
            flight = Flight(name, hostname, event.pid, received_at=event.timestamp)
            self.flights[uuid] = flight
        else:
            flight = flight or self.flights.open(uuid)
            if name:
                flight.name = intern(name)
            tally = self._tally(flight.name, hostname)
            if flight.started_at is not None:  # of the run before: these times are the next one's
                self._settle_queue_time(flight)
            flight.received_at = event.timestamp
            if flight.queue is not None and flight.sent_at is not None:
                self.flights.reached(flight.queue, flight.sent_at)
            if flight.running_since is None:
                flight.worker, flight.pid = hostname, event.pid
        tally.received += 1
        if event.eta:
            flight.eta = ev.epoch_of(event.eta)

    def _on_started(self, event: ev.TaskEvent, now: float) -> None:
        timestamp, hostname = event.timestamp, event.hostname
        self._meter.started(timestamp)
        flight = self._find(event.uuid) or self.flights.open(event.uuid)
        tally = self._tallies.get(flight.name) or self._tally(flight.name, hostname)
        tally.started += 1
        if flight.started_at is not None:  # an earlier run, whose task-sent never came
            self._settle_queue_time(flight)
        received_at, held = flight.received_at, None
        if received_at is not None and flight.worker == hostname:
            held = timestamp - received_at if timestamp > received_at else 0.0
            tally.prefetch_time.record(held)
        else:
            flight.worker = hostname
        flight.pid, flight.running_since = event.pid, now
        if flight.sent_at is None and flight.name in self._announced:
            flight.started_at = timestamp
        elif held is None or flight.sent_at is not None or flight.eta is not None:
            self._record_queue_time(flight, timestamp, tally)
        else:  # nearly always: as far as we know it waited since its receipt
            flight.received_at = None
            tally.queue_time.record(held)

    def _on_succeeded(self, event: ev.TaskEvent, now: float) -> None:
        del now
        tally = self._end(event)
        if tally is not None:
            tally.succeeded += 1
            if event.runtime is not None:
                tally.runtime.record(event.runtime)

    def _on_failed(self, event: ev.TaskEvent, now: float) -> None:
        del now
        tally = self._end(event)
        if tally is None:
            return
        tally.failed += 1
        if self._by_exception:
            exceptions = self.window.exceptions
            name = ev.exception_type(event)
            if name not in exceptions and len(exceptions) >= _MAX_TYPES:
                name = OTHER
            exceptions[name] = exceptions.get(name, 0) + 1

    def _on_revoked(self, event: ev.TaskEvent, now: float) -> None:
        del now
        tally = self._end(event)
        if tally is not None:
            tally.revoked += 1
            tally.expired += bool(event.expired)
            tally.terminated += bool(event.terminated)

    def _on_rejected(self, event: ev.TaskEvent, now: float) -> None:
        del now
        tally = self._interrupt(event) if event.requeue else self._end(event)
        if tally is not None:
            tally.rejected += 1

    def _on_retried(self, event: ev.TaskEvent, now: float) -> None:
        del now
        self._interrupt(event).retried += 1

    def _on_cancelled(self, event: ev.TaskEvent, now: float) -> None:
        del now
        self._interrupt(event).cancelled += 1

    def _on_heartbeat(self, event: ev.WorkerEvent, now: float) -> None:
        departure = self.roster.heartbeat(event, now=now)
        if departure is not None:
            self.judge((departure,))

    def _on_goodbye(self, event: ev.WorkerEvent, now: float) -> None:
        self.roster.goodbye(event, now=now)

    def _on_custom(self, event: ev.CustomEvent, now: float) -> None:
        custom = self.window.custom_events
        kind = event.type
        if kind == ev.OWN_EVENT:
            self.window.events_received -= 1
            return
        if kind not in self._types and len(self._types) >= _MAX_TYPES:
            kind = OTHER
        else:
            self._types[kind] = now
        custom[kind] = custom.get(kind, 0) + 1

    # -- what they share -----------------------------------------------------------------------

    def _end(self, event: ev.TaskEvent) -> Tally | None:
        """The task is over. Returns where to count it; None if it is a repetition."""
        uuid, how = event.uuid, event.type
        flight = self._take(uuid, None) or self.flights.recall(uuid, how)
        if flight is None:
            return None
        self._note(uuid, flight.name, how)
        if flight.started_at is not None:
            self._settle_queue_time(flight)
        return self._tallies.get(flight.name) or self._tally(flight.name, event.hostname)

    def _interrupt(self, event: ev.TaskEvent) -> Tally:
        """This run is over, and the task will be received again. Returns where to count it."""
        flight = self.flights.get(event.uuid)
        if flight is None:
            ending = self.flights.endings.find(event.uuid)
            return self._tally(ending.name if ending else None, event.hostname)
        # The next run may have begun elsewhere before this news arrived: then leave it running.
        # (On the same worker it cannot be told apart; such a run shows again when it ends.)
        if flight.worker == event.hostname:
            self._settle_queue_time(flight)
            flight.running_since = None
        return self._tally(flight.name, event.hostname)

    def _settle_queue_time(self, flight: Flight) -> None:
        """Wait no longer for the task-sent of a run that has started.

        Where producers send task-sent it may come after task-started, so the reckoning waits for
        it until the run ends.
        """
        if flight.started_at is not None:
            tally = self._tallies.get(flight.name) or self._tally(flight.name, flight.worker)
            self._record_queue_time(flight, flight.started_at, tally)
            flight.started_at = None

    def _record_queue_time(self, flight: Flight, started_at: float, tally: Tally) -> None:
        """Record how long the run waited, once: start − max(sent, eta).

        Without a task-sent the receipt stands in for it.
        """
        since, eta = flight.received_at, flight.eta
        flight.received_at = None
        if flight.sent_at is not None:
            since, flight.sent_at = flight.sent_at, None
        if eta is not None:
            flight.eta = None
            if since is not None and eta > since:
                since = eta
        if since is not None:
            waited = started_at - since
            tally.queue_time.record(waited if waited > 0.0 else 0.0)

    def _tallies_of(self, window: OpenWindow) -> dict[str | None, Tally]:
        """The tallies by name, for those who need not ask for the worker; empty if all must."""
        return {} if self._by_worker else window.tallies[None]  # type: ignore[return-value]

    def _tally(self, name: str | None, hostname: str | None) -> Tally:
        """Where to count a task of that name, which ``hostname`` told of (None: no worker did)."""
        name = name or UNKNOWN
        tallies = self.window.tallies_of(hostname if self._by_worker else None)
        tally = tallies.get(name)
        return tally if tally is not None else self._new_tally(tallies, name)

    def _new_tally(self, tallies: dict[str, Tally], name: str) -> Tally:
        """Begin to count a name in this window; beyond the bound, count it as ``other``."""
        window = self.window
        if name not in self.names and name not in window.new_names:
            if len(self.names) + len(window.new_names) >= self._max_names:
                if len(window.folded_names) < _MAX_FOLDED:
                    window.folded_names.add(name)
                return tallies.setdefault(OTHER, Tally(OTHER))
            window.new_names[name] = None
        return tallies.setdefault(name, Tally(name))
