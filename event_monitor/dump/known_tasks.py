"""Known tasks: the names and queues of tasks, which most events do not tell. Bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

from ..events import TaskEvent
from ..snapshot import TaskInFlight

__all__ = ["KnownTask", "KnownTasks"]

_MAX_TASKS = 100_000  # of more than that the oldest are forgotten


class KnownTask(NamedTuple):
    """What is known of a task besides its event."""

    name: str | None = None
    queue: str | None = None


_UNKNOWN = KnownTask()


class KnownTasks:
    """Remembers what task-sent and task-received say, and what workers answered. Thread-safe."""

    def __init__(self) -> None:
        self._tasks: dict[str, KnownTask] = {}
        self._lock = threading.Lock()

    def learn(self, tasks: Iterable[TaskInFlight]) -> None:
        """Remember the tasks that the workers hold; what an event has said stays."""
        with self._lock:
            for task in tasks:
                if task.name and task.uuid not in self._tasks:
                    self._remember(task.uuid, KnownTask(task.name, task.queue))

    def complete(self, event: TaskEvent) -> KnownTask:
        """Return the name and queue of the event's task, and remember what the event adds."""
        with self._lock:
            before = self._tasks.get(event.uuid, _UNKNOWN)
            known = KnownTask(event.name or before.name, event.queue or before.queue)
            if known != before:
                self._remember(event.uuid, known)
            return known

    def _remember(self, uuid: str, task: KnownTask) -> None:
        self._tasks[uuid] = task
        if len(self._tasks) > _MAX_TASKS:
            del self._tasks[next(iter(self._tasks))]
