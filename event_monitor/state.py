"""State: what the events so far add up to. Counts as they pass; swaps, never resets.

``State`` takes the place of Celery's own: the same ``event`` and ``freeze_while``, but it keeps
only the tasks in flight, and counts every event into the open window the moment it arrives.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from celery.events.state import State as CeleryState
from celery.utils.time import utcoffset

from . import events as ev
from .clock import Clock, SystemClock
from .errors import InvalidEvent
from .flights import Flight, Flights
from .roster import Departure, Roster
from .settings import Settings
from .snapshot import (
    OTHER,
    UNKNOWN,
    OrphanedTask,
    Receipt,
    RunningTasks,
    Snapshot,
    TaskInFlight,
    WorkerLoss,
    WorkerStatus,
)
from .tally import OpenWindow, Tally

__all__ = ["Exposure", "State"]

log = logging.getLogger(__name__)

_FROM_WORKERS = frozenset(
    {
        ev.TaskReceived,
        ev.TaskStarted,
        ev.TaskSucceeded,
        ev.TaskFailed,
        ev.TaskRetried,
        ev.TaskRevoked,
        ev.TaskRejected,
        ev.TaskCancelled,
    }
)
_MAX_TYPES = 50  # distinct exception classes, and custom event types, told apart in one window
_MAX_FOLDED = 10_000  # distinct folded names counted in one window; beyond it the number stands
_MAX_LOGGED = 200  # characters of an invalid event in the log


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the shutter let through: copied under the lock, made a snapshot after it."""

    window: OpenWindow
    closed_at: float
    known_names: tuple[str, ...]
    workers: tuple[WorkerStatus, ...]
    losses: tuple[WorkerLoss, ...]
    running: tuple[tuple[str | None, float], ...]
    now: float
    connected: bool
    tasks_in_flight: int
    flights: tuple[TaskInFlight, ...]

    def develop(self) -> Snapshot:
        """The snapshot. Needs no lock: the window belongs to this exposure alone."""
        ages: dict[str, list[float]] = {}
        for name, since in self.running:
            ages.setdefault(name or UNKNOWN, []).append(self.now - since)
        return Snapshot(
            window=self.window.freeze(self.closed_at, self.known_names),
            workers=self.workers,
            losses=self.losses,
            running=tuple(
                RunningTasks(name, len(seconds), max(seconds))
                for name, seconds in sorted(ages.items())
            ),
            connected=self.connected,
            tasks_in_flight=self.tasks_in_flight,
            receipts=tuple(self.window.receipts),
            flights=self.flights,
        )


class State(CeleryState):  # type: ignore[misc]  # Celery ships no types
    """Counters, tasks in flight and roster behind one lock.

    Thread-safe: ``observe``, ``event``, ``learn``, ``connected`` and ``freeze_while`` take the
    lock; ``expose`` must be called within ``freeze_while``.
    """

    def __init__(self, settings: Settings | None = None, *, clock: Clock | None = None) -> None:
        super().__init__()
        self._settings = settings = settings or Settings()
        self._clock = clock or SystemClock()
        self._window = OpenWindow(self._clock.wall())
        self._names: dict[str, float] = {}  # known task names → our clock when last counted
        self._announced: set[str] = set()  # names whose producers send task-sent
        self._flights = Flights(limit=settings.max_tasks_in_flight)
        self._roster = Roster(
            grace_seconds=settings.worker_grace_seconds,
            grace_beats=settings.worker_grace_beats,
            forget_seconds=settings.worker_forget_seconds,
            max_workers=settings.max_workers,
        )
        self._losses: list[WorkerLoss] = []
        self._heard_since: float | None = self._clock.monotonic()
        self._count_by_worker = bool(settings.by_worker)  # else all tallies are under None
        self._keeps = bool(settings.durable_queue)  # a checkpoint wants the tasks in flight
        self._observers: dict[type, Callable[[Any, float], None]] = {
            ev.TaskSent: self._on_sent,
            ev.TaskReceived: self._on_received,
            ev.TaskStarted: self._on_started,
            ev.TaskSucceeded: self._on_succeeded,
            ev.TaskFailed: self._on_failed,
            ev.TaskRetried: self._on_retried,
            ev.TaskRevoked: self._on_revoked,
            ev.TaskRejected: self._on_rejected,
            ev.TaskCancelled: self._on_cancelled,
            ev.WorkerOnline: self._on_heartbeat,
            ev.WorkerHeartbeat: self._on_heartbeat,
            ev.WorkerOffline: self._on_goodbye,
            ev.CustomEvent: self._on_custom,
        }

    # -- the way in ----------------------------------------------------------------------------

    def observe(self, events: Sequence[ev.Event], receipt: Receipt | None = None) -> None:
        """Count these events, which arrived just now, in this order.

        ``receipt`` is for the messages they came in; the snapshot they are in will carry it.
        """
        now = self._clock.monotonic()
        with self._mutex:
            if receipt is not None:
                self._window.receipts.append(receipt)
            if not events:
                return
            self.event_count += len(events)
            self._window.events_received += len(events)
            observers, heard = self._observers, ""
            for event in events:
                kind = type(event)
                if kind in _FROM_WORKERS and event.hostname != heard:  # type: ignore[union-attr]
                    heard = event.hostname  # type: ignore[union-attr]
                    self._roster.task_event(heard, now=now)
                observers[kind](event, now)
            last = events[-1]
            if not isinstance(last, ev.CustomEvent):
                delay = self._clock.wall() - last.timestamp
                self._window.event_delay.record(max(0.0, delay))

    def refuse(self, error: InvalidEvent) -> None:
        """Count something that arrived and was no event; log the first of its kind in a window."""
        with self._mutex:
            self._window.events_invalid += 1
            known = error.kind in self._window.invalid_kinds
            self._window.invalid_kinds.add(error.kind)
        if not known:
            log.warning("dropped what is no event: %s", str(error)[:_MAX_LOGGED])

    def adopt(self, other: CeleryState) -> None:
        """Take over from a state Celery made: what it is handed is counted here from now on."""
        other._event = self.event  # noqa: SLF001  its dispatcher, otherwise made on first use

    def event(self, event: Mapping[str, Any]) -> None:
        """Count one event as Celery's own receiver hands it over: a mapping."""
        try:
            self.observe([ev.event_from_mapping(_with_wire_timestamp(event))])
        except InvalidEvent as error:
            self.refuse(error)

    def learn(self, tasks: Iterable[TaskInFlight]) -> None:
        """Put tasks in flight that workers hold, or a checkpoint kept.

        Tasks that ended since are left out, and of those in flight only the name is learnt.
        """
        now, wall = self._clock.monotonic(), self._clock.wall()
        with self._mutex:
            for task in tasks:
                if self._flights.ended(task.uuid):
                    continue
                flight = self._flights.find(task.uuid)
                if flight is not None:
                    flight.name = flight.name or task.name
                    continue
                flight = self._flights.open(task.uuid)
                flight.name, flight.worker, flight.pid = task.name, task.worker, task.pid
                flight.sent_at, flight.received_at = task.sent_at, task.received_at
                flight.eta, flight.started_at = task.eta, task.started_at
                if task.running_since is not None:
                    since = now - max(0.0, wall - task.running_since)
                    self._flights.start(task.uuid, flight, now=since)

    def connected(self, yes: bool) -> None:
        """The broker can be heard, or not; while not, no worker is judged by its silence."""
        with self._mutex:
            if self._heard_since is not None and not yes:
                self._window.disconnections += 1
            self._heard_since = self._clock.monotonic() if yes else None

    def begin_deaf(self) -> None:
        """Judge nobody until the broker is heard for the first time."""
        with self._mutex:
            self._heard_since = None

    # -- the way out ---------------------------------------------------------------------------

    def expose(self) -> Exposure:
        """Close the window and copy what the snapshot needs. The caller holds the lock."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        self._judge(self._roster.sweep(now=now, heard_since=self._heard_since))
        window, self._window = self._window, OpenWindow(wall)
        window.tasks_forgotten, self._flights.evicted = self._flights.evicted, 0
        window.events_lost = self._roster.take_lost_events()
        losses, self._losses = tuple(self._losses), []
        self._names.update(dict.fromkeys(window.names(), now))
        idle = self._settings.idle_series_seconds
        self._names = {name: at for name, at in self._names.items() if now - at <= idle}
        self._announced.intersection_update(self._names)
        return Exposure(
            window=window,
            closed_at=wall,
            known_names=tuple(self._names),
            workers=self._roster.collect(now=now),
            losses=losses,
            running=tuple(self._flights.running()),
            now=now,
            connected=self._heard_since is not None,
            tasks_in_flight=len(self._flights),
            flights=self._flights.export(lambda at: wall - (now - at)) if self._keeps else (),
        )

    # -- one event each ------------------------------------------------------------------------

    def _on_sent(self, event: ev.TaskSent, now: float) -> None:
        del now
        name = event.name or UNKNOWN
        self._tally(name, None).sent += 1
        self._announced.add(name)
        flight = self._flights.find(event.uuid)
        if flight is None:
            if self._flights.ended(event.uuid):
                return  # a short task: its news overtook the producer's
            flight = self._flights.open(event.uuid)
        flight.name = name
        if flight.started_at is not None:
            if event.timestamp <= flight.started_at:  # of the run that waits for it
                flight.sent_at = event.timestamp
                self._settle_queue_time(flight)
                return
            self._settle_queue_time(flight)
        flight.sent_at = event.timestamp
        flight.eta = _epoch(event.eta) if event.eta else None

    def _on_received(self, event: ev.TaskReceived, now: float) -> None:
        del now
        flight = self._flights.open(event.uuid)
        if event.name:
            flight.name = event.name
        self._tally(flight.name, event.hostname).received += 1
        flight.received_at = event.timestamp
        if event.eta:
            flight.eta = _epoch(event.eta)
        if flight.running_since is None:
            flight.worker, flight.pid = event.hostname, event.pid

    def _on_started(self, event: ev.TaskStarted, now: float) -> None:
        self._roster.started(event)
        flight = self._flights.open(event.uuid)
        tally = self._tally(flight.name, event.hostname)
        tally.started += 1
        if flight.received_at is not None and flight.worker == event.hostname:
            tally.prefetch_time.record(max(0.0, event.timestamp - flight.received_at))
        if flight.started_at is not None:  # an earlier run, whose task-sent never came
            self._settle_queue_time(flight)
        flight.worker, flight.pid = event.hostname, event.pid
        flight.started_at = event.timestamp
        if flight.sent_at is not None or flight.name not in self._announced:
            self._settle_queue_time(flight)
        self._flights.start(event.uuid, flight, now=now)

    def _on_succeeded(self, event: ev.TaskSucceeded, now: float) -> None:
        del now
        tally = self._end(event, "succeeded")
        if tally is not None:
            tally.succeeded += 1
            if event.runtime is not None:
                tally.runtime.record(event.runtime)

    def _on_failed(self, event: ev.TaskFailed, now: float) -> None:
        del now
        tally = self._end(event, "failed")
        if tally is None:
            return
        tally.failed += 1
        if self._settings.by_exception:
            exceptions = self._window.exceptions
            name = ev.exception_type(event)
            if name not in exceptions and len(exceptions) >= _MAX_TYPES:
                name = OTHER
            exceptions[name] = exceptions.get(name, 0) + 1

    def _on_revoked(self, event: ev.TaskRevoked, now: float) -> None:
        del now
        tally = self._end(event, "revoked")
        if tally is not None:
            tally.revoked += 1
            tally.expired += bool(event.expired)
            tally.terminated += bool(event.terminated)

    def _on_rejected(self, event: ev.TaskRejected, now: float) -> None:
        del now
        tally = self._interrupt(event) if event.requeue else self._end(event, "rejected")
        if tally is not None:
            tally.rejected += 1

    def _on_retried(self, event: ev.TaskRetried, now: float) -> None:
        del now
        self._interrupt(event).retried += 1

    def _on_cancelled(self, event: ev.TaskCancelled, now: float) -> None:
        del now
        self._interrupt(event).cancelled += 1

    def _on_heartbeat(self, event: ev.WorkerEvent, now: float) -> None:
        departure = self._roster.heartbeat(event, now=now)
        if departure is not None:
            self._judge((departure,))

    def _on_goodbye(self, event: ev.WorkerOffline, now: float) -> None:
        self._roster.goodbye(event, now=now)

    def _on_custom(self, event: ev.CustomEvent, now: float) -> None:
        del now
        custom = self._window.custom_events
        kind = event.type
        if kind == ev.OWN_EVENT:
            return
        if kind not in custom and len(custom) >= _MAX_TYPES:
            kind = OTHER
        custom[kind] = custom.get(kind, 0) + 1

    # -- what they share -----------------------------------------------------------------------

    def _end(self, event: ev.TaskEvent, how: str) -> Tally | None:
        """The task is over. Returns where to count it; None if it is a repetition."""
        flight = self._flights.close(event.uuid, how)
        if flight is None:
            return None
        if flight.started_at is not None:
            self._settle_queue_time(flight)
        return self._tally(flight.name, event.hostname)

    def _interrupt(self, event: ev.TaskEvent) -> Tally:
        """This run is over, and the task will be received again. Returns where to count it."""
        flight = self._flights.find(event.uuid) or self._flights.ended(event.uuid) or Flight()
        # The next run may have begun elsewhere before this news arrived: then leave it running.
        # (On the same worker it cannot be told apart; such a run shows again when it ends.)
        if flight.worker == event.hostname and flight.ended is None:
            self._settle_queue_time(flight)
            self._flights.stop(event.uuid, flight)
        return self._tally(flight.name, event.hostname)

    def _settle_queue_time(self, flight: Flight) -> None:
        """Record how long the run that has started waited, once, by the best that is known.

        Start − max(sent, eta). Where producers send task-sent it may come after task-started, so
        the reckoning waits for it until the run ends; elsewhere the receipt stands in for it.
        """
        if flight.started_at is None:
            return
        since = flight.received_at if flight.sent_at is None else flight.sent_at
        if since is not None:
            if flight.eta is not None and flight.eta > since:
                since = flight.eta
            waited = flight.started_at - since
            tally = self._tally(flight.name, flight.worker)
            tally.queue_time.record(waited if waited > 0.0 else 0.0)
        flight.started_at = flight.sent_at = flight.received_at = flight.eta = None

    def _tally(self, name: str | None, hostname: str | None) -> Tally:
        """Where to count a task of that name, which ``hostname`` told of (None: no worker did)."""
        name = name or UNKNOWN
        tallies = self._window.tallies_of(hostname if self._count_by_worker else None)
        tally = tallies.get(name)
        return tally if tally is not None else self._new_tally(tallies, name)

    def _new_tally(self, tallies: dict[str, Tally], name: str) -> Tally:
        """Begin to count a name in this window; beyond the bound, count it as ``other``."""
        window = self._window
        if name not in self._names and name not in window.new_names:
            if len(self._names) + len(window.new_names) >= self._settings.max_task_names:
                if len(window.folded_names) < _MAX_FOLDED:
                    window.folded_names.add(name)
                return tallies.setdefault(OTHER, Tally())
            window.new_names[name] = None
        return tallies.setdefault(name, Tally())

    def _judge(self, departures: Iterable[Departure]) -> None:
        """Note who died, with the tasks that died with them."""
        for departure in departures:
            orphans = self._flights.abandon(
                {departure.hostname}, spare_pid=departure.successor_pid
            ).get(departure.hostname, ())
            if orphans or not departure.said_goodbye:
                self._losses.append(
                    WorkerLoss(
                        hostname=departure.hostname,
                        silent_seconds=departure.silent_seconds,
                        orphans=tuple(
                            OrphanedTask(uuid, name or UNKNOWN) for uuid, name in orphans
                        ),
                        said_goodbye=departure.said_goodbye,
                    )
                )


def _epoch(iso: str | None) -> float | None:
    """An ISO 8601 time as seconds since the epoch; without a zone it is UTC, as Celery's are."""
    if not iso:
        return None
    try:
        moment = datetime.fromisoformat(iso.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return moment.timestamp()
    except (ValueError, OverflowError):
        return None


def _with_wire_timestamp(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Undo what Celery's receiver does to the timestamp of a sender in another time zone.

    It shifts it by the difference of the zones, though a timestamp has no zone.
    """
    try:
        shift = (fields["utcoffset"] - utcoffset()) * 3_600
        return {**fields, "timestamp": fields["timestamp"] + shift} if shift else fields
    except (KeyError, TypeError):
        return fields
