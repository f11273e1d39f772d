"""Limit: what of a snapshot belongs to the one service that a monitor is limited to.

Tasks of others are not counted from the start, see ``Others``. Workers and queues are left out at
the end, since verdicts need them all: whether a task is missing, or an event lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from ..settings import Only
from ..snapshot import Live, Snapshot, WorkerLoss
from ..survey import Survey

__all__ = ["Limit"]


class Limit:
    """Takes each snapshot once, in their order, to remember what workers read. Not thread-safe."""

    def __init__(self, only: Only) -> None:
        self._only = only
        self._reads: dict[str, Collection[str]] = {}  # nodename → queues, of who said so

    def after(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot without the workers and queues of others."""
        if not self._only:
            return snapshot
        self._note_readers(snapshot)
        only = self._only
        return replace(
            snapshot,
            workers=tuple(worker for worker in snapshot.workers if self._has(worker.hostname)),
            losses=tuple(self._losses(snapshot.losses)),
            leaving=tuple(self._losses(snapshot.leaving)),
            waiting=tuple(pair for pair in snapshot.waiting if only.has_queue(pair[0])),
            survey=self._limited(snapshot.survey),
            # What was sent and is gone had no worker yet.
            missing=None if only.limits_workers else snapshot.missing,
        )

    def during(self, live: Live) -> Live:
        """Return the look without the workers of others, as far as the last snapshot told.

        Any thread may call it.
        """
        if not self._only or not live.silent:
            return live
        return replace(live, silent=tuple(pair for pair in live.silent if self._has(pair[0])))

    def _note_readers(self, snapshot: Snapshot) -> None:
        survey = snapshot.survey
        answers = survey.workers or ()
        said = {worker.hostname: worker.queues for worker in survey.absent}
        said |= {worker.hostname: worker.queues for worker in answers}
        known = {worker.hostname for worker in snapshot.workers}
        known |= {loss.hostname for loss in snapshot.losses} | {w.hostname for w in answers}
        reads = self._reads | {name: queues for name, queues in said.items() if queues is not None}
        self._reads = {name: queues for name, queues in reads.items() if name in known}

    def _has(self, hostname: str) -> bool:
        return self._only.has_worker(hostname, self._reads.get(hostname))

    def _losses(self, losses: Collection[WorkerLoss]) -> Iterator[WorkerLoss]:
        """Yield those of our workers; who ran a task of ours is one."""
        return (loss for loss in losses if loss.orphans or self._has(loss.hostname))

    def _limited(self, survey: Survey) -> Survey:
        """Return the answers of ours; those are absent of whom it is not known that they are not.

        What only one of these could tell is unknown then, as everywhere.
        """
        only, queues, workers, stalled = self._only, survey.queues, survey.workers, survey.stalled
        return replace(
            survey,
            queues=None if queues is None else tuple(q for q in queues if only.has_queue(q.name)),
            workers=None if workers is None else tuple(w for w in workers if self._has(w.hostname)),
            absent=tuple(
                worker
                for worker in survey.absent
                if self._has(worker.hostname)
                or (only.has_node(worker.hostname) and worker.hostname not in self._reads)
            ),
            stalled=None if stalled is None else tuple(filter(self._has, stalled)),
        )
