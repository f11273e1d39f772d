"""Notices: what a snapshot gives to the log, as values with a kind and facts. One text each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from .clock import SYSTEM_CLOCK, Clock
from .snapshot import (
    FailingTask,
    MissingTask,
    OrphanedTask,
    ScheduledTask,
    Snapshot,
    VanishedTask,
    WorkerLoss,
    WorkerStatus,
)
from .text import printable

__all__ = ["Notice", "NoticeKind", "Notices"]

log = logging.getLogger(__name__)

_REPEAT_SECONDS = 3_600.0  # a lasting condition is logged once in this time
_MAX_NAMED = 20  # unfinished tasks that a notice names

NoticeKind = Literal[
    "worker-lost",
    "worker-leaving",
    "worker-left",
    "worker-stalled",
    "name-shared",
    "no-heartbeats",
    "no-task-events",
    "schedules-overdue",
    "schedules-silent",
    "schedules-unseen",
    "tasks-failing",
    "tasks-missing",
    "tasks-returned",
    "tasks-vanished",
]

_TEXTS: Mapping[NoticeKind, str] = {
    "worker-lost": "worker {worker} is lost (silent for {seconds:.0f} s), "
    "unfinished tasks: {tasks}{named}",
    "worker-leaving": "worker {worker} shuts down, still running: {tasks}{named}",
    "worker-left": "worker {worker} has been gone for {seconds:.0f} s and has not ended "
    "its tasks: {tasks}{named}",
    "name-shared": "several live workers share the name {worker}: start each with its own -n, or "
    "the death of one may go unseen",
    "no-heartbeats": "worker {worker} sends no heartbeats: it is judged by its answers, where it "
    "is asked for them (probe_workers)",
    "schedules-overdue": "periodic tasks stay away, {tasks} of them{named}",
    "schedules-silent": "no periodic task has been seen for {seconds:.0f} s: is `celery beat` "
    "running? Overdue are {tasks}{named}",
    "schedules-unseen": "periodic tasks were never seen, {tasks} of them, and are not judged: "
    "nothing sends them here, or no event tells of them{named}",
    "tasks-failing": "tasks of which every run fails: {tasks}{named}",
    "tasks-missing": "tasks are missing, {tasks} of them: they were sent, and are neither in their "
    "queue nor with a worker, and no event told what became of them{named}",
    "tasks-returned": "tasks that were missing came after all, {tasks} of them{named}",
    "tasks-vanished": "{tasks} tasks have ended without an event, for their workers run nothing: "
    "Ignore, a time limit that a pool cannot report, or an event that was lost{named}",
    "worker-stalled": "worker {worker} is stalled: its heartbeats come, but for {seconds:g} s it "
    "has begun no task and runs none, while work waits in its queues; restart it",
    "no-task-events": "worker {worker} runs tasks but sends NO TASK EVENTS, so they are not "
    "counted: start it with -E, or set worker_send_task_events, or run this with --enable-events",
}


_GOOD_TO_KNOW: frozenset[NoticeKind] = frozenset(
    {"worker-leaving", "no-heartbeats", "schedules-unseen", "tasks-vanished"}
)


#: What a notice names: single tasks, or all tasks of a name.
NamedTask = OrphanedTask | VanishedTask | MissingTask | FailingTask | ScheduledTask
_SINGLE = (OrphanedTask, VanishedTask, MissingTask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing an operator should know. ``seconds`` is how long it has lasted, where that counts.

    ``tasks`` are the tasks concerned; ``named`` are the first of them.
    """

    kind: NoticeKind
    worker: str  # the full nodename; empty where several are concerned
    seconds: float = 0.0
    tasks: int = 0
    named: tuple[NamedTask, ...] = ()

    @property
    def text(self) -> str:
        """Return the line for the log."""
        names = ", ".join(map(_label, self.named))
        more = ", …" if len(self.named) < self.tasks else ""
        return _TEXTS[self.kind].format(
            worker=printable(self.worker),
            seconds=self.seconds,
            tasks=self.tasks,
            named=f": {printable(names)}{more}" if names else "",
        )

    @property
    def facts(self) -> dict[str, object]:
        """Return what the line says, for machines; without what it does not say."""
        facts: dict[str, object] = {"notice": self.kind}
        if self.worker:
            facts["worker"] = self.worker
        if self.seconds:
            facts["seconds"] = round(self.seconds, 1)
        if "{tasks}" in _TEXTS[self.kind]:
            facts["tasks"] = self.tasks
            facts["task"] = [task.name for task in self.named]
            ids = [task.uuid for task in self.named if isinstance(task, _SINGLE)]
            facts |= {"uuid": ids} if len(ids) == len(self.named) else {}
            queues = [task.queue for task in self.named if isinstance(task, MissingTask)]
            facts |= {"queue": queues} if queues else {}
        return facts


class Notices:
    """Logs what is worth a line in each snapshot, as a ``SnapshotConsumer``; one thread at a time.

    A worker that stalls, or a task that fails or stays away, is logged when it begins to; what
    keeps one of the workers from being counted or judged is logged once an hour.
    """

    def __init__(self, *, stalled_seconds: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._stalled_seconds = stalled_seconds
        self._clock = clock
        self._stalled: frozenset[str] = frozenset()
        self._failing: frozenset[str] = frozenset()
        self._overdue: frozenset[str] = frozenset()
        self._unseen: frozenset[str] = frozenset()
        self._is_silent = False
        self._logged_at: dict[tuple[str, NoticeKind], float] = {}  # worker, what → our clock

    def __call__(self, snapshot: Snapshot) -> None:
        """Log the notices of this snapshot."""
        for notice in self.find(snapshot):
            level = logging.INFO if notice.kind in _GOOD_TO_KNOW else logging.WARNING
            log.log(level, "%s", notice.text, extra=notice.facts)

    def find(self, snapshot: Snapshot) -> tuple[Notice, ...]:
        """Return the notices of this snapshot; what was found is remembered for the next."""
        return (
            *(_of_loss(loss, "worker-leaving") for loss in snapshot.leaving),
            *(_of_loss(loss) for loss in snapshot.losses),
            *_of_vanished(snapshot),
            *_of_missing(snapshot),
            *self._newly_failing(snapshot),
            *self._newly_overdue(snapshot),
            *self._newly_unseen(snapshot),
            *self._of_workers(snapshot),
            *self._newly_stalled(snapshot),
        )

    def _of_workers(self, snapshot: Snapshot) -> Iterator[Notice]:
        """Say loudly what keeps a worker from being counted or judged; -E is forgotten most."""
        now = self._clock.monotonic()
        for worker in snapshot.online:
            for kind in _conditions(worker):
                logged_at = self._logged_at.get((worker.hostname, kind))
                if logged_at is None or now - logged_at >= _REPEAT_SECONDS:
                    self._logged_at[worker.hostname, kind] = now
                    yield Notice(kind=kind, worker=worker.hostname)
        known = {worker.hostname for worker in snapshot.workers}
        self._logged_at = {key: at for key, at in self._logged_at.items() if key[0] in known}

    def _newly_stalled(self, snapshot: Snapshot) -> Iterator[Notice]:
        stalled = frozenset(snapshot.survey.stalled or ())
        for hostname in sorted(stalled - self._stalled):
            yield Notice(kind="worker-stalled", worker=hostname, seconds=self._stalled_seconds)
        self._stalled = stalled

    def _newly_failing(self, snapshot: Snapshot) -> Iterator[Notice]:
        fresh = tuple(task for task in snapshot.failing if task.name not in self._failing)
        if fresh:
            named = fresh[:_MAX_NAMED]
            yield Notice(kind="tasks-failing", worker="", tasks=len(fresh), named=named)
        self._failing = frozenset(task.name for task in snapshot.failing)

    def _newly_overdue(self, snapshot: Snapshot) -> Iterator[Notice]:
        """Name those that begin to stay away; while none comes at all, that is one line."""
        judged = snapshot.judged
        overdue = tuple(task for task in judged if task.overdue_seconds)
        fresh = tuple(task for task in overdue if task.name not in self._overdue)
        was_silent, self._is_silent = self._is_silent, _are_silent(judged, overdue)
        if self._is_silent and was_silent:
            return  # those that follow are named when some come again and they do not
        self._overdue = frozenset(task.name for task in overdue)
        if fresh:
            seen_at = max(task.seen_at or 0.0 for task in judged)
            yield Notice(
                kind="schedules-silent" if self._is_silent else "schedules-overdue",
                worker="",
                seconds=snapshot.window.closed_at - seen_at if self._is_silent else 0.0,
                tasks=len(fresh),
                named=fresh[:_MAX_NAMED],
            )

    def _newly_unseen(self, snapshot: Snapshot) -> Iterator[Notice]:
        unseen = tuple(t for t in snapshot.scheduled if t.seen_at is None and t.overdue_seconds)
        fresh = tuple(task for task in unseen if task.name not in self._unseen)
        if fresh:
            self._unseen |= {task.name for task in fresh}
            named = fresh[:_MAX_NAMED]
            yield Notice(kind="schedules-unseen", worker="", tasks=len(fresh), named=named)


def _label(task: NamedTask) -> str:
    if isinstance(task, FailingTask):
        return f"{task.name} ({task.failures})"
    if isinstance(task, ScheduledTask):
        return f"{task.name} (expected at {_time(task.due_at)})"
    if isinstance(task, MissingTask):
        return f"{task.name}[{task.uuid}] (queue {task.queue}, sent at {_time(task.sent_at)})"
    return f"{task.name}[{task.uuid}]"


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _are_silent(judged: Sequence[ScheduledTask], overdue: Sequence[ScheduledTask]) -> bool:
    """Return whether none of several has come since the first of these was due: beat is gone."""
    due_at = min((task.due_at for task in overdue), default=None)
    return (
        len(judged) > 1
        and due_at is not None
        and all(task.seen_at is not None and task.seen_at < due_at for task in judged)
    )


def _conditions(worker: WorkerStatus) -> Iterator[NoticeKind]:
    if worker.is_shared:
        yield "name-shared"
    if not worker.sends_heartbeats:
        yield "no-heartbeats"
    if not worker.sends_task_events:
        yield "no-task-events"


def _of_loss(loss: WorkerLoss, kind: NoticeKind | None = None) -> Notice:
    return Notice(
        kind=kind or ("worker-left" if loss.said_goodbye else "worker-lost"),
        worker=loss.hostname,
        seconds=loss.silent_seconds,
        tasks=len(loss.orphans),
        named=loss.orphans[:_MAX_NAMED],
    )


def _of_vanished(snapshot: Snapshot) -> Iterator[Notice]:
    """Name a few of the tasks that vanished: where `Ignore` is a habit there may be many."""
    count = sum(counts.vanished for _, counts in snapshot.window.tasks)
    if count:
        named = snapshot.window.vanished[:_MAX_NAMED]
        yield Notice(kind="tasks-vanished", worker="", tasks=count, named=named)


def _of_missing(snapshot: Snapshot) -> Iterator[Notice]:
    missing = snapshot.missing
    if missing is not None and missing.count:
        named = missing.named[:_MAX_NAMED]
        yield Notice(kind="tasks-missing", worker="", tasks=missing.count, named=named)
    if missing is not None and missing.returned:
        returned = missing.returned
        named = returned[:_MAX_NAMED]
        yield Notice(kind="tasks-returned", worker="", tasks=len(returned), named=named)
