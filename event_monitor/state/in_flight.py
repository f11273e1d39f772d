"""Flights: the tasks that were sent, received or started and have not ended.

Events that end a task carry no name; it is found here. A finished task leaves at once, and only a
bounded memory of recent endings stays, by which a repeated ending is recognised and a redelivered
task keeps its name. Not thread-safe; knows no counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import msgspec

from ..snapshot import TaskInFlight
from .recently_ended import Endings

__all__ = ["Flight", "Flights"]

_MAX_QUEUES = 1_000
_EVICT_FRACTION = 64  # evict 1/64 at once: finding the oldest costs a scan
_LAG_SECONDS = 5.0  # task events are buffered behind heartbeats, but not that long


class Flight(msgspec.Struct, gc=False):
    """One task on its way. Times ending in ``_at`` are the sender's wall clock, in seconds.

    A struct of msgspec's because these are made by the hundred thousand a second; it holds
    nothing that could be part of a cycle.
    """

    name: str | None = None
    worker: str | None = None  # who received or started it last
    pid: int | None = None
    queue: str | None = None  # it was sent to, if its producer told
    sent_at: float | None = None
    received_at: float | None = None
    eta: float | None = None
    started_at: float | None = None  # only while its task-sent is still awaited
    running_since: float | None = None  # our monotonic clock; None: it does not run


class Flights(dict[str, Flight]):
    """Tasks in flight by uuid; ``trim`` makes them ``limit`` at the most.

    A dictionary, since it is asked with nearly every event.
    """

    def __init__(self, *, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self.endings = Endings()
        self._reached: dict[str, float] = {}  # queue → the latest `sent_at` of a received task
        self.evicted = 0

    def export(self, wall_of: Callable[[float], float]) -> tuple[TaskInFlight, ...]:
        """Every task in flight as a value; ``wall_of`` turns our monotonic clock into wall time."""
        return tuple(
            TaskInFlight(
                uuid=uuid,
                name=flight.name,
                worker=flight.worker,
                pid=flight.pid,
                sent_at=flight.sent_at,
                received_at=flight.received_at,
                eta=flight.eta,
                started_at=flight.started_at,
                running_since=flight.running_since and wall_of(flight.running_since),
            )
            for uuid, flight in self.items()
        )

    def open(self, uuid: str) -> Flight:
        """Put a task in flight (again), under the name it had before."""
        before = self.endings.find(uuid)
        flight = self[uuid] = Flight(before.name if before else None)
        return flight

    def recall(self, uuid: str, how: str) -> Flight | None:
        """A task that ended without being in flight; None if it had ended like this already.

        It has the name it had before, if it was seen at all.
        """
        before = self.endings.find(uuid)
        if before is not None and before.how == how:
            return None
        return Flight(before.name if before else None)

    def give_up(self, uuid: str) -> None:
        """Wait for this task no longer; it may end yet, and will have its name then."""
        self.endings.note(uuid, self.pop(uuid).name, None)

    def trim(self) -> None:
        """Have no more than ``limit``: the oldest go, those that run last: they have an age."""
        surplus = len(self) - self._limit
        if surplus <= 0:
            return
        wanted = max(surplus, self._limit // _EVICT_FRACTION)
        idle = (uuid for uuid, flight in self.items() if flight.running_since is None)
        victims = dict.fromkeys(islice(idle, wanted))
        if len(victims) < surplus:
            others = (uuid for uuid in self if uuid not in victims)
            victims |= dict.fromkeys(islice(others, wanted - len(victims)))
        for uuid in victims:
            del self[uuid]
            self.endings.forget(uuid)  # of an earlier run: the next one shall count
        self.evicted += len(victims)

    def running(self) -> Iterator[tuple[str | None, float]]:
        """(name, running since) of every task that runs."""
        for flight in self.values():
            if flight.running_since is not None:
                yield flight.name, flight.running_since

    def waiting(self) -> dict[str, float]:
        """By queue, when the oldest task that still waits in it was sent, or its eta: wall clock.

        Queues are first in, first out: what was sent before a task that has been received is
        there no more, even if the news of it was lost.
        """
        oldest: dict[str, float] = {}
        for flight in self.values():
            queue, sent_at = flight.queue, flight.sent_at
            if queue is None or sent_at is None or flight.received_at is not None:
                continue
            if flight.running_since is None and sent_at > self._reached.get(queue, 0.0):
                since = sent_at if flight.eta is None else max(sent_at, flight.eta)
                oldest[queue] = min(since, oldest.get(queue, since))
        return oldest

    def reached(self, queue: str, sent_at: float) -> None:
        """A task that was sent to this queue then has been received."""
        if sent_at > self._reached.get(queue, 0.0):
            if len(self._reached) >= _MAX_QUEUES:
                self._reached.clear()
            self._reached[queue] = sent_at

    def abandon(
        self, hostname: str, *, spare_pid: int | None = None
    ) -> tuple[tuple[str, str | None], ...]:
        """This worker is gone: drop its tasks, and tell (uuid, name) of those that were running.

        They may be delivered again, so their names are remembered like those of ended tasks.
        """
        gone = [
            (uuid, flight)
            for uuid, flight in self.items()
            if flight.worker == hostname and (spare_pid is None or flight.pid != spare_pid)
        ]
        orphans = tuple(
            (uuid, flight.name) for uuid, flight in gone if flight.running_since is not None
        )
        for uuid, _ in gone:
            self.give_up(uuid)
        return orphans

    def drop_idle(self, idle_at: Mapping[str, float]) -> None:
        """Drop tasks that cannot be running: their worker said later that it runs nothing.

        ``Ignore`` ends a task without an event, and an event may be lost.
        """
        ghosts = [
            uuid
            for uuid, flight in self.items()
            if flight.running_since is not None
            and flight.running_since + _LAG_SECONDS < idle_at.get(flight.worker or "", 0.0)
        ]
        for uuid in ghosts:
            self.give_up(uuid)
