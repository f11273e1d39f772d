"""State: what the events so far add up to. Counts as they pass; swaps, never resets.

``State`` takes the place of Celery's own: the same ``event`` and ``freeze_while``, but it keeps
only the tasks in flight, and counts every event into the open window the moment it arrives.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery.events.state import State as CeleryState
from celery.utils.time import utcoffset

from .. import events as ev
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import InvalidEvent
from ..settings import Settings
from ..snapshot import (
    UNKNOWN,
    AckToken,
    BrokerLink,
    RunningTasks,
    Snapshot,
    TaskInFlight,
    WorkerLoss,
    WorkerStatus,
)
from .aggregator import Tracker
from .window import OpenWindow

__all__ = ["Exposure", "State"]

log = logging.getLogger(__name__)

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
    waiting: tuple[tuple[str, float], ...]
    now: float
    link: BrokerLink
    tasks_in_flight: int
    in_flight: tuple[TaskInFlight, ...]

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
            waiting=tuple(
                (queue, max(0.0, self.closed_at - since)) for queue, since in self.waiting
            ),
            link=self.link,
            tasks_in_flight=self.tasks_in_flight,
            ack_tokens=tuple(self.window.ack_tokens),
            in_flight=self.in_flight,
        )


class State(CeleryState):  # type: ignore[misc]  # Celery ships no types
    """Counters, tasks in flight and roster behind one lock.

    Thread-safe: ``observe``, ``event``, ``learn``, ``connected`` and ``freeze_while`` take the
    lock; ``expose`` must be called within ``freeze_while``.
    """

    def __init__(self, settings: Settings | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__()
        settings = settings or Settings()
        self._clock = clock
        self._tracker = Tracker(settings, wall=self._clock.wall())
        self._link = BrokerLink.LISTENING
        self._link_since = self._clock.monotonic()
        self._keeps = bool(settings.durable_queue)  # a checkpoint wants the tasks in flight

    # -- the way in ----------------------------------------------------------------------------

    def observe(self, events: Sequence[ev.Event], token: AckToken | None = None) -> None:
        """Count these events, which arrived just now, in this order.

        ``token`` is for the messages they came in; the snapshot they are in will carry it.
        """
        now = self._clock.monotonic()
        with self._mutex:
            if token is not None:
                self._tracker.window.ack_tokens.append(token)
            if not events:
                return
            self.event_count += len(events)
            self._tracker.observe(events, now=now)
            last = events[-1]
            if not isinstance(last, ev.CustomEvent):
                delay = self._clock.wall() - last.timestamp
                self._tracker.window.event_delay.record(max(0.0, delay))

    def refuse(self, error: InvalidEvent) -> None:
        """Count something that arrived and was no event; log the first of its kind in a window."""
        with self._mutex:
            self._tracker.window.events_invalid += 1
            known = error.kind in self._tracker.window.invalid_kinds
            self._tracker.window.invalid_kinds.add(error.kind)
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
            flights = self._tracker.flights
            for task in tasks:
                flight = flights.get(task.uuid)
                if flight is not None:
                    flight.name = flight.name or task.name
                    continue
                if flights.endings.find(task.uuid):
                    continue
                flight = flights.open(task.uuid)
                flight.name, flight.worker, flight.pid = task.name, task.worker, task.pid
                flight.sent_at, flight.received_at = task.sent_at, task.received_at
                flight.eta, flight.started_at = task.eta, task.started_at
                if task.running_since is not None:
                    flight.running_since = now - max(0.0, wall - task.running_since)
            flights.trim()

    @property
    def link(self) -> BrokerLink:
        """Return how things stand with the broker. Reads one attribute; needs no lock."""
        return self._link

    def change_link(self, link: BrokerLink) -> None:
        """Note that the link to the broker has changed; workers are judged only while LISTENING.

        LISTENING again judges them by the silence from now on. A connection that is lost counts
        in BrokerDisconnections.
        """
        with self._mutex:
            if self._link.is_connected and not link.is_connected:
                self._tracker.window.disconnections += 1
            self._link, self._link_since = link, self._clock.monotonic()

    def await_broker(self) -> None:
        """Begin as CONNECTING: judge nobody until the broker was listened to for the first time."""
        with self._mutex:
            self._link = BrokerLink.CONNECTING

    # -- the way out ---------------------------------------------------------------------------

    def expose(self) -> Exposure:
        """Close the window and copy what the snapshot needs. The caller holds the lock."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        tracker = self._tracker
        heard_since = self._link_since if self._link is BrokerLink.LISTENING else None
        tracker.judge(tracker.roster.sweep(now=now, heard_since=heard_since))
        tracker.flights.drop_idle(tracker.roster.idle())
        losses, tracker.losses = tuple(tracker.losses), []
        window = tracker.swap(now=now, wall=wall)
        return Exposure(
            window=window,
            closed_at=wall,
            known_names=tuple(tracker.names),
            workers=tracker.roster.collect(now=now),
            losses=losses,
            running=tuple(tracker.flights.running()),
            waiting=tuple(tracker.flights.waiting().items()),
            now=now,
            link=self._link,
            tasks_in_flight=len(tracker.flights),
            in_flight=tracker.flights.export(lambda at: wall - (now - at)) if self._keeps else (),
        )


def _with_wire_timestamp(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Undo what Celery's receiver does to the timestamp of a sender in another time zone.

    It shifts it by the difference of the zones, though a timestamp has no zone.
    """
    try:
        shift = (fields["utcoffset"] - utcoffset()) * 3_600
        return {**fields, "timestamp": fields["timestamp"] + shift} if shift else fields
    except (KeyError, TypeError):
        return fields
