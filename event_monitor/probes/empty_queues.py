"""Empty queues: the looks at queues that were empty while it was known who may hold their messages.

Pure: read from snapshots, and from what the broker reported of its queues.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from ..settings import Settings
from ..snapshot import Snapshot, WorkerState
from ..survey import QueueDepth, WorkerAnswer

__all__ = ["SETTLE_SECONDS", "EmptyQueues", "Streak", "reads"]

SETTLE_SECONDS = 5.0  # events are buffered in workers and producers, but not that long
_GRACE_SURVEYS = 1.5  # the first of three looks and the last: two, unless one was late
_ASKING_SECONDS = 1.0  # beyond `probe_seconds`: what a question to the workers may take
_ROUND_SECONDS = 1.0  # the queues are read as soon as the workers have answered
_MOST_LOOKS = 50


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a queue that is empty, while it is known who may hold its messages.

    Times are on our monotonic clock. The queue was read from ``at`` on; the workers had answered by
    ``answered_at``, and were not asked before ``asked_at``.
    """

    at: float
    asked_at: float
    answered_at: float
    held: frozenset[str]  # tasks that somebody holds, as the broker says


class Streak:
    """The looks in a row at which one queue was empty."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace = grace_seconds
        self._looks: deque[Look] = deque(maxlen=_MOST_LOOKS)

    @property
    def last(self) -> Look:
        """Return the newest look."""
        return self._looks[-1]

    def add(self, look: Look) -> None:
        """Note a look, unless it is the last one again."""
        if not self._looks or look.at > self.last.at + _ROUND_SECONDS:
            self._looks.append(look)

    def has_shown_gone(self) -> Look | None:
        """Return the newest look of which the present is certain to be the consequence.

        What was in the queue before it was taken out, and of that everything has been heard: all
        workers have answered since, which they do between their other work, and all that they had
        to tell had the time to arrive.
        """
        last = self.last
        asked = (k.asked_at for k in self._looks if k.answered_at <= last.at - SETTLE_SECONDS)
        before = min(max(asked, default=-1.0), last.at - self._grace)
        return next((look for look in reversed(self._looks) if look.at <= before), None)


class EmptyQueues:
    """Looks at the queues once per shot. Not thread-safe. Times are on our monotonic clock.

    Nothing is known of an empty queue while a worker that may read it does not answer, sends no
    task events or, on Redis, is lost and may have a solo pool: it may run a task that it took, and
    tell of it when that has ended. The same where the broker tells neither which messages are
    unacknowledged nor how many read the queue.
    """

    def __init__(self, settings: Settings) -> None:
        self.grace_seconds = _GRACE_SURVEYS * settings.survey_seconds
        self._asking_seconds = settings.probe_seconds + _ASKING_SECONDS
        self._streaks: dict[str, Streak] = {}
        self._answers: dict[str, WorkerAnswer] = {}  # the last of each worker on the roster

    def clear(self) -> None:
        """Forget the looks: they are no evidence."""
        self._streaks.clear()

    def streak(self, queue: str) -> Streak | None:
        """Return the looks at a queue; None if messages wait there, or it is unknown where."""
        return self._streaks.get(queue)

    def look(
        self, snapshot: Snapshot, depths: Iterable[QueueDepth], *, now: float
    ) -> frozenset[str]:
        """Look at all queues; return those in which messages wait."""
        self._remember(snapshot)
        looks, waiting = self._look(snapshot, depths, now)
        self._streaks = {
            queue: self._streaks.get(queue) or Streak(self.grace_seconds) for queue in looks
        }
        for queue, look in looks.items():
            self._streaks[queue].add(look)
        return frozenset(waiting)

    def goodbye_at(self, queue: str, snapshot: Snapshot, *, now: float) -> float:
        """Return when the last worker that may read this queue said goodbye, or after that.

        Minus infinity if none has, of those that are remembered.
        """
        return max(
            (
                now - worker.silent_seconds
                for worker in snapshot.workers
                if worker.state is WorkerState.OFFLINE and self._may_read(worker.hostname, queue)
            ),
            default=-inf,
        )

    def _remember(self, snapshot: Snapshot) -> None:
        """Remember what each worker said of itself last, as long as it is on the roster."""
        answers = {answer.hostname: answer for answer in snapshot.survey.workers or ()}
        roster = {worker.hostname for worker in snapshot.workers}
        kept = {name: answer for name, answer in self._answers.items() if name in roster}
        self._answers = kept | answers

    def _look(
        self, snapshot: Snapshot, depths: Iterable[QueueDepth], now: float
    ) -> tuple[dict[str, Look], set[str]]:
        """Return the looks at the empty queues of which all is known; and where messages wait."""
        survey = snapshot.survey
        queues_age, workers_age = survey.queues_age_seconds, survey.workers_age_seconds
        looks: dict[str, Look] = {}
        waiting: set[str] = set()
        for depth in depths:
            if depth.ready:
                waiting.add(depth.name)
                continue
            if survey.workers is None or queues_age is None or workers_age is None:
                continue
            if not depth.missing and depth.ready is None:
                continue
            if workers_age - queues_age > _ROUND_SECONDS:
                continue
            held = self._held(depth, snapshot)
            if held is not None:
                answered_at = now - workers_age
                asked_at = answered_at - self._asking_seconds
                looks[depth.name] = Look(now - queues_age, asked_at, answered_at, held)
        return looks, waiting

    def _held(self, depth: QueueDepth, snapshot: Snapshot) -> frozenset[str] | None:
        """Return the tasks that are unacknowledged while the queue is empty; None if unknown.

        A worker that has answered has told of all messages that it took before. So it is enough
        that RabbitMQ, which gives them back when a consumer is gone, has no other consumers.
        """
        queue, workers = depth.name, snapshot.survey.workers or ()
        if any(worker.may_read((queue,)) for worker in snapshot.survey.absent):
            return None
        if any(worker.queues is None for worker in workers):
            return None
        if any(
            not worker.sends_task_events and self._may_read(worker.hostname, queue)
            for worker in snapshot.online
        ):
            return None
        if depth.missing:
            return frozenset()
        if depth.consumers is not None:
            readers = sum(reads(worker, queue) for worker in workers)
            return frozenset() if depth.consumers == readers else None
        for worker in snapshot.workers:
            if worker.state is WorkerState.LOST and self._may_read(worker.hostname, queue):
                answer = self._answers.get(worker.hostname)
                if answer is None or answer.is_solo is not False:
                    return None
        return depth.unacked_ids

    def _may_read(self, hostname: str, queue: str) -> bool:
        answer = self._answers.get(hostname)
        return answer is None or answer.queues is None or queue in answer.queues


def reads(worker: WorkerAnswer, queue: str) -> bool:
    """Return whether a worker says that it reads the queue."""
    return worker.queues is not None and queue in worker.queues
