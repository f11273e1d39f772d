"""Stalls: workers that beat but do nothing, while work waits for them. Pure; told the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..snapshot import WorkerState, WorkerStatus
from ..survey import Survey

__all__ = ["Stalls"]


@dataclass(slots=True)
class _Watch:
    """What is remembered of one worker on the roster."""

    progress: tuple[int | None, int | None] = (None, None)  # its pid, and tasks begun
    idle_since: float | None = None  # since when it does nothing although work waits
    queues: tuple[str, ...] | None = None  # as it last told


class Stalls:
    """Judges every worker once per shot. Not thread-safe. Remembers only who is on the roster.

    Stalled is who sends heartbeats, while for longer than ``stalled_seconds`` these say that it
    runs nothing and has begun nothing, and messages are ready in a queue that it reads. So it is
    with a worker on Redis that lost its connection and never came back to its queues; such a one
    no longer answers either, so what it last said of its queues is kept.

    Of a worker that never told its queues it is only certain that work waits for it if some
    waits in every queue that is watched; else it is not judged.

    A rate limit below one task in ``stalled_seconds`` cannot be told from a stall.
    """

    def __init__(self, stalled_seconds: float) -> None:
        self._stalled_seconds = stalled_seconds
        self._watches: dict[str, _Watch] = {}

    def update(
        self, workers: tuple[WorkerStatus, ...], survey: Survey, *, now: float
    ) -> tuple[str, ...] | None:
        """The nodenames of those that are stalled, sorted; None if no queue's depth is known.

        ``now`` is monotonic seconds. What is not known at one shot neither acquits a worker nor
        adds to the evidence: the clock goes on from the last time that it was seen idle.
        """
        told = {one.hostname: one.queues for one in survey.workers or ()}
        waiting = {one.name: one.ready > 0 for one in survey.queues or () if one.ready is not None}
        stalled = []
        watches, self._watches = self._watches, {}
        for worker in workers:
            watch = self._watches[worker.hostname] = watches.get(worker.hostname) or _Watch()
            queues = told.get(worker.hostname)
            if queues is not None:
                watch.queues = queues
            if self._is_stalled(worker, watch, waiting, now=now):
                stalled.append(worker.hostname)
        return tuple(sorted(stalled)) if waiting else None

    def _is_stalled(
        self, worker: WorkerStatus, watch: _Watch, waiting: Mapping[str, bool], *, now: float
    ) -> bool:
        # A heartbeat is evidence up to the moment it came: a solo worker that runs a task is
        # silent, and nobody knows what it does.
        seen_at = now - worker.silent_seconds
        progress = (worker.pid, worker.processed)
        if (
            worker.state is not WorkerState.ONLINE
            or worker.active
            or progress != watch.progress
            or _work_waits(watch.queues, waiting) is False
        ):
            watch.progress, watch.idle_since = progress, None
        if worker.state is not WorkerState.ONLINE or worker.processed is None:
            return False
        if worker.active != 0 or _work_waits(watch.queues, waiting) is not True:
            return False
        if watch.idle_since is None:
            watch.idle_since = seen_at
        return seen_at - watch.idle_since > self._stalled_seconds


def _work_waits(queues: Iterable[str] | None, waiting: Mapping[str, bool]) -> bool | None:
    """Whether messages are ready for who reads these queues; None if that cannot be known."""
    if queues is None:
        return True if waiting and all(waiting.values()) else None
    known = [waiting.get(name) for name in queues]
    if any(known):
        return True
    return None if None in known else False
