"""Exposure: what the shutter let through: copied under the lock, made a snapshot after it."""

from __future__ import annotations

from dataclasses import dataclass

from ..snapshot import (
    BrokerLink,
    RunningTasks,
    Snapshot,
    TaskInFlight,
    WorkerLoss,
    WorkerStatus,
)
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
    running: tuple[tuple[str, int, float], ...]  # name, how many, since when the oldest (monotonic)
    waiting: tuple[tuple[str, float], ...]  # queue, since when the oldest task waits (wall)
    now: float  # our monotonic clock
    link: BrokerLink
    tasks_in_flight: int
    in_flight: tuple[TaskInFlight, ...]

    def develop(self) -> Snapshot:
        """Return the snapshot. Needs no lock."""
        return Snapshot(
            window=self.window.freeze(self.closed_at, self.known_names),
            workers=self.workers,
            losses=self.losses,
            running=tuple(
                RunningTasks(name, count, self.now - since)
                for name, count, since in sorted(self.running)
            ),
            waiting=tuple(
                (queue, max(0.0, self.closed_at - since)) for queue, since in self.waiting
            ),
            link=self.link,
            tasks_in_flight=self.tasks_in_flight,
            ack_tokens=tuple(self.window.ack_tokens),
            in_flight=self.in_flight,
        )
