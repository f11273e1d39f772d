"""Exposure: what the shutter let through: copied under the lock, made a snapshot after it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..snapshot import (
    UNKNOWN,
    BrokerLink,
    OrphanedTask,
    RunningTasks,
    Snapshot,
    TaskInFlight,
    WorkerLoss,
    WorkerStatus,
)
from .aggregator import Loss
from .in_flight import relatives_of
from .window import OpenWindow

__all__ = ["Exposure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The raw material of the events' side of one ``Snapshot``. ``window`` belongs to it alone.

    ``running`` (given our clock at the shot), ``draining``, ``give_up`` and ``note_names`` take the
    state's lock for moments.
    """

    window: OpenWindow
    closed_at: float  # wall clock, seconds since the epoch
    known_names: tuple[str, ...]
    by_pair: bool  # whether counts of each name and queue are asked for
    times_by_pair: bool  # the same of their times
    by_host: bool  # whether these are also told apart by worker
    workers: tuple[WorkerStatus, ...]
    losses: tuple[Loss, ...]
    leaving: tuple[Loss, ...]
    now: float  # our monotonic clock
    link: BrokerLink
    listening_since: float | None  # our monotonic clock; None while silence is no evidence
    tasks_in_flight: int
    draining: Callable[[], Mapping[str, int]]  # nodename → tasks that run since its goodbye
    in_flight: tuple[TaskInFlight, ...]  # for a checkpoint
    running: Callable[[float], Mapping[str, Sequence[float]]]  # name → since when, our clock
    give_up: Callable[[Sequence[Loss]], int]
    note_names: Callable[[Collection[str]], None]  # of tasks of which workers have sent events

    def develop(self) -> Snapshot:
        """Return the snapshot, once."""
        losses = tuple(_worker_losses(self.losses))  # while the orphans still have their names
        self.note_names(self.window.names_from_workers())
        given_up = self.give_up(self.losses)
        draining = self.draining()
        return Snapshot(
            window=self.window.freeze(
                self.closed_at,
                self.known_names,
                by_pair=self.by_pair,
                times_by_pair=self.times_by_pair,
                by_host=self.by_host,
            ),
            workers=tuple(
                replace(worker, draining=draining[worker.hostname])
                if worker.hostname in draining
                else worker
                for worker in self.workers
            ),
            losses=losses,
            running=tuple(
                RunningTasks(name, len(starts), self.now - min(starts))
                for name, starts in sorted(self.running(self.now).items())
            ),
            link=self.link,
            listening_seconds=None
            if self.listening_since is None
            else self.now - self.listening_since,
            tasks_in_flight=self.tasks_in_flight - given_up,
            draining=sum(draining.values()),
            leaving=tuple(_worker_losses(self.leaving)),
            ack_tokens=tuple(self.window.ack_tokens),
            in_flight=self.in_flight,
        )


def _worker_losses(losses: Sequence[Loss]) -> Iterator[WorkerLoss]:
    for departure, orphans, _, rerun in losses:
        unfinished = (*orphans, *rerun)
        if unfinished or not departure.said_goodbye:
            yield WorkerLoss(
                hostname=departure.hostname,
                silent_seconds=departure.silent_seconds,
                orphans=tuple(
                    OrphanedTask(task.uuid, task.name or UNKNOWN, *relatives_of(task))
                    for task in unfinished
                ),
                said_goodbye=departure.said_goodbye,
            )
