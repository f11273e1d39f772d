"""Exposure: what the shutter let through: copied under the lock, made a snapshot after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..snapshot import (
    UNKNOWN,
    BrokerLink,
    RunningTasks,
    Snapshot,
    TaskInFlight,
    WorkerLoss,
    WorkerStatus,
)
from .in_flight import InFlightTask
from .window import OpenWindow

__all__ = ["Exposure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The raw material of the events' side of one ``Snapshot``. ``window`` belongs to it alone."""

    window: OpenWindow
    closed_at: float  # wall clock, seconds since the epoch
    known_names: tuple[str, ...]
    workers: tuple[WorkerStatus, ...]
    losses: tuple[WorkerLoss, ...]
    running: list[InFlightTask]  # as they were; they may go on changing meanwhile
    tasks: tuple[InFlightTask, ...]  # all that are in flight; the same
    gone: frozenset[str]  # workers whose remaining tasks are to be given up
    give_up: Callable[[Sequence[InFlightTask]], None]
    received_up_to: Mapping[str, float]  # queue → the latest time of sending of a received task
    now: float  # our monotonic clock
    link: BrokerLink
    in_flight: tuple[TaskInFlight, ...]

    def develop(self) -> Snapshot:
        """Return the snapshot. Holds no lock, but for moments in which tasks are given up."""
        left_behind = (
            [task for task in self.tasks if task.worker in self.gone and task.running_since is None]
            if self.gone
            else []
        )
        self.give_up(left_behind)
        return Snapshot(
            window=self.window.freeze(self.closed_at, self.known_names),
            workers=self.workers,
            losses=self.losses,
            running=tuple(self._running()),
            waiting=tuple(self._waiting()),
            link=self.link,
            tasks_in_flight=len(self.tasks) - len(left_behind),
            ack_tokens=tuple(self.window.ack_tokens),
            in_flight=self.in_flight,
        )

    def _running(self) -> Iterator[RunningTasks]:
        ages: dict[str, list[float]] = {}
        for task in self.running:
            since = task.running_since
            if since is not None and since <= self.now:
                ages.setdefault(task.name or UNKNOWN, []).append(self.now - since)
        for name, seconds in sorted(ages.items()):
            yield RunningTasks(name, len(seconds), max(seconds))

    def _waiting(self) -> Iterator[tuple[str, float]]:
        """Yield each queue in which a task waits, and the age of the oldest.

        Queues are first in, first out: what was sent before a task that has been received does not
        wait any more, even if the event of its receipt was lost.
        """
        oldest: dict[str, float] = {}
        for task in self.tasks:
            waits = task.waits_since
            if waits is None:
                continue
            queue, sent_at, since = waits
            if sent_at > self.received_up_to.get(queue, 0.0):
                oldest[queue] = min(since, oldest.get(queue, since))
        for queue, since in oldest.items():
            yield queue, max(0.0, self.closed_at - since)
