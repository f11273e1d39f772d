"""Books: which tasks were sent to a queue, did not come out of it, and are not in it any more.

Judged at each shot, from the snapshot and the tasks that the state expects. Asks nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from typing import Protocol

from ..settings import Settings
from ..snapshot import ExpectedTask, ExpectedTasks, MissingTask, MissingTasks, Snapshot
from ..survey import QueueDepth
from .empty_queues import SETTLE_SECONDS, EmptyQueues, Streak, reads

__all__ = ["Books", "TaskLedger"]

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


class Books:
    """Judges once per shot which tasks are missing. Not thread-safe.

    A task is missing if its queue was seen empty at three looks in a row, from after it was sent,
    while everybody was known who might hold it; if all these have answered since; and if no event
    of it came. It is found missing once.

    It is evidence only if events arrive in time and none is lost, and if it is known of the queue
    that its tasks are told of: once it was empty, and nothing was left to be expected. Where
    something cannot be known, nothing is said. That is so

    - of tasks that were sent before we listened, or before the last loss of an event;
    - of what was sent before a worker said goodbye that may read the queue: until it is gone for
      good it may run it, and tell of it at the end;
    - of queues of which ``EmptyQueues`` knows nothing.
    """

    def __init__(self, tasks: TaskLedger, settings: Settings) -> None:
        self._tasks = tasks
        self._survey_seconds = settings.survey_seconds
        self._empty = EmptyQueues(settings)
        self._forget_seconds = settings.worker_forget_seconds
        self._trusted_since = 0.0
        self._believed: set[str] = set()  # queues
        self._doubted: dict[str, int] = {}  # queues → how many tasks had been taken from it then
        self._lost: dict[str, MissingTask] = {}

    def judge(
        self, snapshot: Snapshot, depths: Collection[QueueDepth] | None, *, now: float
    ) -> MissingTasks | None:
        """Return what is found missing now; None if it cannot be known of all tasks.

        ``depths`` are the queues as the broker reported them, and no worker; ``now`` is our
        monotonic clock. What workers answered is in the snapshot.
        """
        if not self._hears_all(snapshot, now) or depths is None:
            self._empty.clear()
            return None
        waiting = self._empty.look(snapshot, depths, now=now)
        queues = {depth.name for depth in depths}
        self._believed &= queues
        self._doubted = {name: n for name, n in self._doubted.items() if name in queues}
        lost: list[MissingTask] = []
        is_known = bool(self._believed)
        for queue, expected in self._tasks.expected(without=waiting).items():
            found = self._judge_queue(queue, self._trusted(queue, expected), snapshot, now)
            is_known = is_known and found is not None
            lost.extend(found or ())
        returned = self._returned()
        self._lost |= {task.uuid: task for task in lost}
        while len(self._lost) > _MOST_REMEMBERED:
            del self._lost[next(iter(self._lost))]
        if not (lost or returned or is_known):
            return None
        return MissingTasks(
            counts=tuple(sorted(Counter(task.name for task in lost).items())),
            named=tuple(lost[:_MOST_NAMED]),
            returned=returned,
        )

    def _judge_queue(
        self, queue: str, expected: ExpectedTasks, snapshot: Snapshot, now: float
    ) -> Sequence[MissingTask] | None:
        """Return the tasks of a queue that are found missing; None if that cannot be known of all.

        Messages do not wait in it, as far as is known.
        """
        streak = self._empty.streak(queue)
        if streak is None:
            overdue_since = now - self._empty.grace_seconds
            unseen = [task for task in expected.tasks if task.due_at < overdue_since]
            self._forget_old(queue, unseen, now)
            return None if unseen else ()
        self._note_balance(queue, expected, streak.last.at, snapshot)
        overdue = _overdue(expected.tasks, streak)
        heard_after = self._empty.goodbye_at(queue, snapshot, now=now) + SETTLE_SECONDS
        gone = [task.uuid for task in overdue if task.heard_at > heard_after]
        if gone and queue not in self._believed:
            self._doubted[queue] = expected.taken
            self._tasks.forget_expected(queue, gone)
            return None
        lost = self._tasks.lose(queue, gone)
        return lost if lost or len(gone) == len(overdue) else None

    # -- whether anything is evidence ----------------------------------------------------------

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
        if now < self._trusted_since + SETTLE_SECONDS:
            return False
        return not window.event_delay or max(window.event_delay.values) < self._survey_seconds

    def _trusted(self, queue: str, expected: ExpectedTasks) -> ExpectedTasks:
        """Return the tasks of which all would have been heard; forget the others."""
        since = self._trusted_since + SETTLE_SECONDS  # they may have overtaken their task-sent
        unknown = [task.uuid for task in expected.tasks if task.heard_at < since]
        if unknown:
            self._tasks.forget_expected(queue, unknown)
            self._doubted[queue] = expected.taken  # unless it is believed already
            tasks = tuple(task for task in expected.tasks if task.heard_at >= since)
            return expected._replace(tasks=tasks)
        return expected

    def _forget_old(self, queue: str, tasks: Iterable[ExpectedTask], now: float) -> None:
        """Forget what was sent so long ago to a queue that nobody can look into."""
        old = [task.uuid for task in tasks if task.due_at < now - self._forget_seconds]
        self._tasks.forget_expected(queue, old)

    def _note_balance(
        self, queue: str, expected: ExpectedTasks, looked_at: float, snapshot: Snapshot
    ) -> None:
        """Believe the events of a queue that is read, if all came that was sent to it."""
        if queue not in self._believed and expected.taken > self._doubted.get(queue, 0):
            is_read = any(reads(worker, queue) for worker in snapshot.survey.workers or ())
            if is_read and not any(task.due_at <= looked_at for task in expected.tasks):
                self._believed.add(queue)
                self._doubted.pop(queue, None)

    def _returned(self) -> tuple[MissingTask, ...]:
        """Return the tasks that came though they were missing; their queues are doubted now."""
        come = self._tasks.have_come(self._lost) if self._lost else ()
        returned = tuple(task for uuid, task in self._lost.items() if uuid in come)
        for task in returned:
            del self._lost[task.uuid]
        self._believed.difference_update(task.queue for task in returned)
        return returned


def _overdue(tasks: Iterable[ExpectedTask], streak: Streak) -> list[ExpectedTask]:
    """Return the tasks that are not in the queue, nor anywhere else that is known."""
    shown = streak.has_shown_gone()
    if shown is None:
        return []
    held = shown.held | streak.last.held
    return [task for task in tasks if task.due_at <= shown.at and task.uuid not in held]
