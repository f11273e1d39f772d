"""Books: which tasks were sent to a queue, did not come out of it, and are not in it any more.

Judged at each shot, from the snapshot and the tasks that the state expects. Asks nobody.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..settings import Settings
from ..snapshot import (
    ExpectedTask,
    ExpectedTasks,
    MissingTask,
    MissingTasks,
    Snapshot,
    WorkerState,
)
from ..survey import QueueDepth, WorkerAnswer

__all__ = ["Books", "TaskLedger"]

_GRACE_SURVEYS = 1.5  # the first of three looks and the last: two, unless one was late
_SETTLE_SECONDS = 5.0  # events are buffered in workers and producers, but not that long
_ASKING_SECONDS = 1.0  # beyond `probe_seconds`: what a question to the workers may take
_ROUND_SECONDS = 1.0  # the queues are read as soon as the workers have answered
_MOST_LOOKS = 50
_MOST_NAMED = 20  # tasks that a snapshot names
_MOST_REMEMBERED = 1_000  # missing tasks that would be recognised if they came after all


class TaskLedger(Protocol):
    """``State``, as far as it is used here. Its methods may be called from any thread."""

    def expected(self, *, without: Container[str]) -> Mapping[str, ExpectedTasks]:
        """Return the tasks that have to come out of each queue yet, but for those ``without``."""
        ...

    def lose(self, queue: str, uuids: Sequence[str]) -> Sequence[MissingTask]:
        """Give these tasks up; return them without those that came meanwhile."""
        ...

    def forget_expected(self, queue: str, uuids: Sequence[str]) -> None:
        """Expect these tasks no more: what became of them is unknown."""
        ...

    def have_come(self, uuids: Iterable[str]) -> set[str]:
        """Return which of these tasks, that were lost, a worker told of since."""
        ...


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a queue that is empty, while it is known who may hold its messages.

    Times are on our monotonic clock. The queue was read from ``at`` on; the workers had answered by
    ``answered_at``, and were not asked before ``asked_at``.
    """

    at: float
    asked_at: float
    answered_at: float
    held: frozenset[str]  # tasks that somebody holds, as the broker says


class _Streak:
    """The looks in a row at which one queue was empty."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace = grace_seconds
        self._looks: deque[_Look] = deque(maxlen=_MOST_LOOKS)

    @property
    def last(self) -> _Look:
        return self._looks[-1]

    def add(self, look: _Look) -> None:
        if not self._looks or look.at > self.last.at + _ROUND_SECONDS:  # else it is the same
            self._looks.append(look)

    def has_shown_gone(self) -> _Look | None:
        """Return the newest look of which the present is certain to be the consequence.

        What was in the queue before it was taken out, and of that everything has been heard: all
        workers have answered since, which they do between their other work, and all that they had
        to tell had the time to arrive.
        """
        last = self.last
        asked = (k.asked_at for k in self._looks if k.answered_at <= last.at - _SETTLE_SECONDS)
        before = min(max(asked, default=-1.0), last.at - self._grace)
        return next((look for look in reversed(self._looks) if look.at <= before), None)


class Books:
    """Judges once per shot which tasks are missing. Not thread-safe.

    A task is missing if its queue was seen empty at three looks in a row, from after it was sent,
    while everybody was known who might hold it; if all these have answered since; and if no event
    of it came. It is found missing once.

    It is evidence only if events arrive in time and none is lost, and if it is known of the queue
    that its tasks are told of: once it was empty, and nothing was left to be expected. Where
    something cannot be known, nothing is said. That is so

    - of tasks that were sent before we listened, or before the last loss of an event;
    - while a worker that may read the queue does not answer, sends no task events or, on Redis, is
      lost and may have a solo pool: it may run the task, and tell of it when that has ended;
    - of what was sent before a worker said goodbye that may read the queue: until it is gone for
      good it may run it, and tell of it at the end;
    - where the broker tells neither which messages are unacknowledged nor how many read the queue.
    """

    def __init__(self, tasks: TaskLedger, settings: Settings) -> None:
        self._tasks = tasks
        self._survey_seconds = settings.survey_seconds
        self._grace = _GRACE_SURVEYS * settings.survey_seconds
        self._forget_seconds = settings.worker_forget_seconds
        self._asking_seconds = settings.probe_seconds + _ASKING_SECONDS
        self._trusted_since = 0.0
        self._streaks: dict[str, _Streak] = {}
        self._believed: set[str] = set()  # queues
        self._doubted: dict[str, int] = {}  # queues → how many tasks had been taken from it then
        self._answers: dict[str, WorkerAnswer] = {}  # the last of each worker on the roster
        self._lost: dict[str, MissingTask] = {}

    def judge(
        self, snapshot: Snapshot, depths: Collection[QueueDepth] | None, *, now: float
    ) -> MissingTasks | None:
        """Return what is found missing now; None if it cannot be known of all tasks.

        ``depths`` are the queues as the broker reported them, and no worker; ``now`` is our
        monotonic clock. What workers answered is in the snapshot.
        """
        self._remember(snapshot)
        if not self._hears_all(snapshot, now) or depths is None:
            self._streaks.clear()
            return None
        looks, waiting = self._look(snapshot, depths, now)
        queues = {depth.name for depth in depths}
        self._believed &= queues
        self._doubted = {name: n for name, n in self._doubted.items() if name in queues}
        self._streaks = {queue: self._streaks.get(queue) or _Streak(self._grace) for queue in looks}
        for queue, look in looks.items():
            self._streaks[queue].add(look)
        is_known = True
        lost: list[MissingTask] = []
        for queue, expected in self._tasks.expected(without=waiting).items():
            expected = self._trusted(queue, expected)
            heard_after = self._goodbye_at(queue, snapshot, now) + _SETTLE_SECONDS
            streak = self._streaks.get(queue)
            if streak is not None:
                self._note_balance(queue, expected, streak.last, snapshot)
            overdue = self._overdue(expected.tasks, streak)
            gone = [task.uuid for task in overdue if task.heard_at > heard_after]
            unseen = [task for task in expected.tasks if task.due_at < now - self._grace]
            if len(gone) < len(overdue) or (streak is None and unseen):
                is_known = False
            if streak is None:
                self._forget_old(queue, unseen, now)
            if gone and queue in self._believed:
                lost.extend(self._tasks.lose(queue, gone))
            elif gone:
                is_known = False
                self._doubted[queue] = expected.taken
                self._tasks.forget_expected(queue, gone)
        returned = self._returned()
        self._lost |= {task.uuid: task for task in lost}
        while len(self._lost) > _MOST_REMEMBERED:
            del self._lost[next(iter(self._lost))]
        if not (lost or returned) and not (is_known and self._believed):
            return None
        return MissingTasks(
            counts=tuple(sorted(Counter(task.name for task in lost).items())),
            named=tuple(lost[:_MOST_NAMED]),
            returned=returned,
        )

    # -- whether anything is evidence ----------------------------------------------------------

    def _remember(self, snapshot: Snapshot) -> None:
        """Remember what each worker said of itself last, as long as it is on the roster."""
        answers = {answer.hostname: answer for answer in snapshot.survey.workers or ()}
        roster = {worker.hostname for worker in snapshot.workers}
        kept = {name: answer for name, answer in self._answers.items() if name in roster}
        self._answers = kept | answers

    def _hears_all(self, snapshot: Snapshot, now: float) -> bool:
        """Return whether every event arrives, and in time; note since when."""
        window, listening_seconds = snapshot.window, snapshot.listening_seconds
        if listening_seconds is None or any(
            (
                window.disconnections,
                window.events_lost,
                window.events_invalid,
                window.tasks_forgotten,
            )
        ):
            self._trusted_since = now
            return False
        self._trusted_since = max(self._trusted_since, now - listening_seconds)
        if now < self._trusted_since + _SETTLE_SECONDS:
            return False
        return not window.event_delay or max(window.event_delay.values) < self._survey_seconds

    def _trusted(self, queue: str, expected: ExpectedTasks) -> ExpectedTasks:
        """Return the tasks of which all would have been heard; forget the others."""
        since = self._trusted_since + _SETTLE_SECONDS  # they may have overtaken their task-sent
        unknown = [task.uuid for task in expected.tasks if task.heard_at < since]
        if unknown:
            self._tasks.forget_expected(queue, unknown)
            tasks = tuple(task for task in expected.tasks if task.heard_at >= since)
            return expected._replace(tasks=tasks)
        return expected

    def _forget_old(self, queue: str, tasks: Iterable[ExpectedTask], now: float) -> None:
        """Forget what was sent so long ago to a queue that nobody can look into."""
        old = [task.uuid for task in tasks if task.due_at < now - self._forget_seconds]
        self._tasks.forget_expected(queue, old)

    def _note_balance(
        self, queue: str, expected: ExpectedTasks, look: _Look, snapshot: Snapshot
    ) -> None:
        """Believe the events of a queue that is read, if all came that was sent to it."""
        if queue not in self._believed and expected.taken > self._doubted.get(queue, 0):
            is_read = any(_reads(worker, queue) for worker in snapshot.survey.workers or ())
            if is_read and not any(task.due_at <= look.at for task in expected.tasks):
                self._believed.add(queue)
                self._doubted.pop(queue, None)

    # -- where a task may be -------------------------------------------------------------------

    def _look(
        self, snapshot: Snapshot, depths: Iterable[QueueDepth], now: float
    ) -> tuple[dict[str, _Look], set[str]]:
        """Return the looks at the empty queues of which all is known; and where messages wait."""
        survey = snapshot.survey
        queues_age, workers_age = survey.queues_age_seconds, survey.workers_age_seconds
        looks: dict[str, _Look] = {}
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
                looks[depth.name] = _Look(now - queues_age, asked_at, answered_at, held)
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
            readers = sum(_reads(worker, queue) for worker in workers)
            return frozenset() if depth.consumers == readers else None
        for worker in snapshot.workers:
            if worker.state is WorkerState.LOST and self._may_read(worker.hostname, queue):
                answer = self._answers.get(worker.hostname)
                if answer is None or answer.is_solo is not False:
                    return None
        return depth.unacked_ids

    def _goodbye_at(self, queue: str, snapshot: Snapshot, now: float) -> float:
        """Return when the last worker that may read this queue said goodbye, or after that."""
        return max(
            (
                now - worker.silent_seconds
                for worker in snapshot.workers
                if worker.state is WorkerState.OFFLINE and self._may_read(worker.hostname, queue)
            ),
            default=-_SETTLE_SECONDS,
        )

    def _may_read(self, hostname: str, queue: str) -> bool:
        answer = self._answers.get(hostname)
        return answer is None or answer.queues is None or queue in answer.queues

    @staticmethod
    def _overdue(tasks: Iterable[ExpectedTask], streak: _Streak | None) -> list[ExpectedTask]:
        """Return the tasks that are not in the queue, nor anywhere else that is known."""
        shown = streak.has_shown_gone() if streak is not None else None
        if streak is None or shown is None:
            return []
        held = shown.held | streak.last.held
        return [task for task in tasks if task.due_at <= shown.at and task.uuid not in held]

    def _returned(self) -> tuple[MissingTask, ...]:
        """Return the tasks that came though they were missing; their queues are doubted now."""
        come = self._tasks.have_come(self._lost) if self._lost else ()
        returned = tuple(task for uuid, task in self._lost.items() if uuid in come)
        for task in returned:
            del self._lost[task.uuid]
        self._believed.difference_update(task.queue for task in returned)
        return returned


def _reads(worker: WorkerAnswer, queue: str) -> bool:
    return worker.queues is not None and queue in worker.queues
