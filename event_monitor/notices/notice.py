"""Notice: one thing an operator should know, as a value with a kind and facts. One text each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

from ..snapshot import FailingTask, MissingTask, OrphanedTask, ScheduledTask, VanishedTask
from ..text import printable

__all__ = ["GOOD_TO_KNOW", "Notice", "NoticeKind", "workers_named"]

NoticeKind = Literal[
    "workers-found",
    "worker-came",
    "worker-back",
    "worker-restarted",
    "worker-gone",
    "nothing-heard",
    "no-events",
    "nothing-belongs",
    "standby",
    "takeover",
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
    "workers-found": "events come from {workers}",
    "worker-came": "worker {worker} has come",
    "worker-back": "worker {worker} is back",
    "worker-restarted": "worker {worker} was restarted",
    "worker-gone": "worker {worker} has shut down",
    "nothing-heard": "no worker and no event for {seconds:.0f} s: is this the broker, database or "
    "virtual host that the workers use? `event-monitor check` looks at the others",
    "no-events": "no event for {seconds:.0f} s, though workers answer; `event-monitor check` looks "
    "for the reason. It is {workers}",
    "nothing-belongs": "events come, but for {seconds:.0f} s none of a worker or a task of this "
    "service: do only_tasks, only_queues and only_workers match their names?",
    "standby": "standby: another monitor reads the queue of events, and this one takes over when "
    "that one has gone",
    "takeover": "takes over: the events come to this monitor now",
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


GOOD_TO_KNOW: frozenset[NoticeKind] = frozenset(
    {
        *("workers-found", "worker-came", "worker-back", "worker-restarted", "worker-gone"),
        *("worker-leaving", "no-heartbeats", "standby", "takeover"),
        *("schedules-unseen", "tasks-returned", "tasks-vanished"),
    }
)

_MAX_WORKERS = 10  # that one line names

#: What a notice names: single tasks, or all tasks of a name.
NamedTask = OrphanedTask | VanishedTask | MissingTask | FailingTask | ScheduledTask
_SINGLE = (OrphanedTask, VanishedTask, MissingTask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing an operator should know. ``seconds`` is how long it has lasted, where that counts.

    ``tasks`` are the tasks concerned; ``named`` are the first of them.
    """

    kind: NoticeKind
    worker: str = ""  # the full nodename; empty where several are concerned
    workers: tuple[str, ...] = ()  # these, then
    seconds: float = 0.0
    tasks: int = 0
    named: tuple[NamedTask, ...] = ()

    #: Only of the line that stands for several notices of a kind.
    more: int = 0

    @classmethod
    def rest_of(cls, notices: Sequence[Notice]) -> Notice | None:
        """Return one notice for all of these, which are of one kind; None for none."""
        if not notices:
            return None
        workers = tuple(notice.worker for notice in notices if notice.worker)
        tasks = sum(notice.tasks for notice in notices)
        return cls(kind=notices[0].kind, workers=workers, tasks=tasks, more=len(notices))

    @property
    def text(self) -> str:
        """Return the line for the log."""
        if self.more:
            tasks = f", tasks: {self.tasks:,}" if self.tasks else ""
            return f"and {self.more:,} more ({self.kind}): {workers_named(self.workers)}{tasks}"
        names = ", ".join(map(_label, self.named))
        more = ", …" if len(self.named) < self.tasks else ""
        return _TEXTS[self.kind].format(
            worker=printable(self.worker),
            workers=workers_named(self.workers),
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
        if self.workers:
            facts["worker"] = list(self.workers[:_MAX_WORKERS])
            facts["workers"] = len(self.workers)
        if self.seconds:
            facts["seconds"] = round(self.seconds, 1)
        if self.more:
            return facts | {"more": self.more, "tasks": self.tasks}
        if "{tasks}" in _TEXTS[self.kind]:
            facts["tasks"] = self.tasks
            facts["task"] = [task.name for task in self.named]
            ids = [task.uuid for task in self.named if isinstance(task, _SINGLE)]
            facts |= {"uuid": ids} if len(ids) == len(self.named) else {}
            queues = [task.queue for task in self.named if isinstance(task, MissingTask)]
            facts |= {"queue": queues} if queues else {}
        return facts


def workers_named(names: tuple[str, ...]) -> str:
    """Return how many they are, and the first of them."""
    count = "1 worker" if len(names) == 1 else f"{len(names):,} workers"
    more = ", …" if len(names) > _MAX_WORKERS else ""
    return f"{count}: {', '.join(map(printable, names[:_MAX_WORKERS]))}{more}"


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
