"""Latest answers: what broker and workers last said, until it is too old to be true."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from ..survey import AbsentWorker, QueueDepth, Survey, WorkerAnswer

__all__ = ["LatestAnswers"]


@dataclass(frozen=True, slots=True)
class _Queues:
    """The queues' depths, and when they were read, on the monotonic clock."""

    depths: tuple[QueueDepth, ...]
    at: float


@dataclass(frozen=True, slots=True)
class _Workers:
    """The workers' answers, and when they were complete, on the monotonic clock."""

    answers: tuple[WorkerAnswer, ...]
    absent: tuple[AbsentWorker, ...]
    at: float


class LatestAnswers:
    """Keeps the last complete answers for ``stale_seconds``. Thread-safe.

    ``now`` is always monotonic seconds.
    """

    def __init__(self, *, stale_seconds: float) -> None:
        self._stale_seconds = stale_seconds
        self._lock = threading.Lock()
        self._queues: _Queues | None = None
        self._queues_before: _Queues | None = None
        self._workers: _Workers | None = None
        self._failures = 0

    @property
    def depths(self) -> tuple[QueueDepth, ...]:
        """Return the queues' depths, however old; empty before the first."""
        queues = self._queues
        return queues.depths if queues else ()

    @property
    def workers(self) -> tuple[WorkerAnswer, ...]:
        """Return the workers' answers, however old; empty before the first."""
        workers = self._workers
        return workers.answers if workers else ()

    def note_queues(self, depths: tuple[QueueDepth, ...], *, now: float) -> None:
        """Note what the broker answered."""
        with self._lock:
            self._queues_before, self._queues = self._queues, _Queues(depths, now)

    def note_workers(
        self,
        answers: tuple[WorkerAnswer, ...],
        *,
        absent: tuple[AbsentWorker, ...],
        now: float,
    ) -> None:
        """Note who answered, and who did not though it is online."""
        with self._lock:
            self._workers = _Workers(answers, absent, now)

    def forget_workers(self) -> None:
        """Forget what workers answered: all that are known say it unasked."""
        with self._lock:
            self._workers = None

    def complete_workers(self, answers: tuple[WorkerAnswer, ...]) -> None:
        """Put these, of which more is known by now, in the place of the last answers."""
        with self._lock:
            if self._workers is not None:
                self._workers = replace(self._workers, answers=answers)

    def note_failure(self) -> None:
        """Note that a question failed."""
        with self._lock:
            self._failures += 1

    def survey(self, *, now: float) -> Survey:
        """Return what is known now. Each failure is reported once."""
        with self._lock:
            failures, self._failures = self._failures, 0
            queues, before, workers = self._queues, self._queues_before, self._workers
        if queues is not None and now - queues.at > self._stale_seconds:
            queues = None
        if workers is not None and now - workers.at > self._stale_seconds:
            workers = None
        if before is not None and queues and queues.at - before.at > self._stale_seconds:
            before = None  # the growth over an outage does not describe the present
        return Survey(
            queues=queues.depths if queues else None,
            queues_age_seconds=now - queues.at if queues else None,
            ready_growth_per_second=_growth(before, queues),
            workers=workers.answers if workers else None,
            workers_age_seconds=now - workers.at if workers else None,
            absent=workers.absent if workers else (),
            failures=failures,
        )


def _growth(before: _Queues | None, after: _Queues | None) -> float | None:
    """Return by how many ready messages per second all queues have grown.

    None if the depth of one is not known both times. One that does not exist is empty.
    """
    if before is None or after is None or after.at <= before.at:
        return None
    ready_before = {queue.name: _ready(queue) for queue in before.depths}
    grown = 0
    for queue in after.depths:
        ready, earlier = _ready(queue), ready_before.get(queue.name)
        if ready is None or earlier is None:
            return None
        grown += ready - earlier
    return grown / (after.at - before.at)


def _ready(queue: QueueDepth) -> int | None:
    return 0 if queue.missing else queue.ready
