"""Join: what broker and workers answered, read in the light of what the events report. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..snapshot import Snapshot, WorkerState, WorkerStatus
from ..survey import AbsentWorker, QueueDepth, Survey, WorkerAnswer

__all__ = ["consumers_of", "join_survey", "with_consumers"]

_UNHEARD = AbsentWorker("")  # any number of them, which may read any queue


def join_survey(snapshot: Snapshot, survey: Survey) -> Snapshot:
    """Return the snapshot with the survey in it.

    What a worker answered ends with its death or goodbye. One that is online and did not answer is
    ``absent``: the answers are not all. That nobody answered is not taken for "no workers" while
    some may be online, nor those who were heard for all while others may be heard yet. Where the
    broker does not know who reads a queue, the workers do.

    What a worker says unasked, in its heartbeats, counts instead of what it answered.
    """
    workers, absent = survey.workers, survey.absent
    age = survey.workers_age_seconds
    if any(worker.answer is not None for worker in snapshot.workers):  # those gone as well
        told = [worker for worker in snapshot.online if worker.answer is not None]
        workers = _with_told(workers or (), told)
        age = max([age or 0.0, *(worker.answer_age_seconds for worker in told)])
    if workers is not None:
        gone = {w.hostname for w in snapshot.workers if w.state is not WorkerState.ONLINE}
        workers = tuple(worker for worker in workers if worker.hostname not in gone)
        absent = _absent(snapshot, workers, absent)
        if not snapshot.has_heard_all:
            absent = (*absent, _UNHEARD)
        if not workers and (absent or not snapshot.link.has_listened):
            workers = None
    queues = survey.queues
    if queues is not None:
        queues = tuple(with_consumers(queue, workers, absent) for queue in queues)
    return replace(
        snapshot,
        survey=replace(
            survey, workers=workers, workers_age_seconds=age, absent=absent, queues=queues
        ),
        waiting=tuple(
            (queue.name, queue.oldest_seconds)
            for queue in queues or ()
            if queue.ready and queue.oldest_seconds is not None
        ),
    )


def with_consumers(
    queue: QueueDepth, workers: Iterable[WorkerAnswer] | None, absent: Iterable[AbsentWorker] = ()
) -> QueueDepth:
    """Return the depth with its consumers, as workers say where the broker does not know."""
    if queue.consumers is not None or queue.missing:
        return queue
    return replace(queue, consumers=consumers_of(queue.name, workers, absent))


def consumers_of(
    queue: str, workers: Iterable[WorkerAnswer] | None, absent: Iterable[AbsentWorker] = ()
) -> int | None:
    """Return how many workers say that they read the queue.

    None if one of them did not say what it reads, or did not answer and may read it.
    """
    if workers is None or any(worker.may_read((queue,)) for worker in absent):
        return None
    consumers = 0
    for worker in workers:
        if worker.queues is None:
            return None
        consumers += queue in worker.queues
    return consumers


def _with_told(
    answers: Iterable[WorkerAnswer], told: Iterable[WorkerStatus]
) -> tuple[WorkerAnswer, ...]:
    """Return the answers with those of workers that say it unasked, sorted by nodename."""
    known = {answer.hostname: answer for answer in answers}
    known |= {worker.hostname: worker.answer for worker in told if worker.answer is not None}
    return tuple(known[hostname] for hostname in sorted(known))


def _absent(
    snapshot: Snapshot, workers: Iterable[WorkerAnswer], absent: Iterable[AbsentWorker]
) -> tuple[AbsentWorker, ...]:
    """Return the workers that are online and did not answer, with the queues they read."""
    answered = {worker.hostname for worker in workers}
    known = {worker.hostname: worker for worker in absent}
    return tuple(
        known.get(worker.hostname) or AbsentWorker(worker.hostname)
        for worker in snapshot.online
        if worker.hostname not in answered
    )
