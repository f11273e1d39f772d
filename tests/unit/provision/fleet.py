"""Fleet: workers that run tasks, come and go, and a monitor that judges them with a real state.

Everything is recorded from the state's own snapshots and ``metrics_from``, a minute at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import count

from celery import Celery

from event_monitor.metrics import metrics_from
from event_monitor.schedules import OverdueTasks, expected_tasks
from event_monitor.settings import Settings
from event_monitor.snapshot import Snapshot
from event_monitor.state import FailingTasks
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

from ..state.scene import FREQ, Scene, Worker
from .cluster import IDLE_QUEUE, IDLE_WORKER, PLAIN, Period

__all__ = ["Fleet"]

_MINUTE = 60.0
_STEPS = int(_MINUTE / FREQ)


class Fleet:
    """A fleet and its monitor; ``minutes`` is what has been published, an entry per minute."""

    def __init__(self, *, schedules: Mapping[str, str] | None = None) -> None:
        self._schedules = tuple((schedules or {}).items())
        self.minutes: list[Period] = []
        self.workers: dict[str, Worker] = {}
        self._numbers = count(1)
        self._begin_monitor()

    def _begin_monitor(self) -> None:
        self.scene = Scene(dimensions=PLAIN.dimensions)
        self._failing = FailingTasks()
        app = Celery("fleet", broker="memory://", set_as_current=False)
        expected = expected_tasks(app, Settings(schedules=self._schedules), clock=self.scene.clock)
        self._overdue = OverdueTasks(expected, interval_seconds=_MINUTE, clock=self.scene.clock)

    def start(self, how_many: int) -> list[str]:
        """Start workers; return their names."""
        names = [f"celery@host{next(self._numbers)}" for _ in range(how_many)]
        for name in names:
            self.workers[name] = self.scene.worker(name).hello()
        return names

    def begin(self, names: Iterable[str], task: str = "shop.report") -> None:
        """Let each of these workers begin a task of its own, whose id is the worker's name."""
        for name in names:
            self.workers[name].begin(name, name=task)

    def stop(self, name: str) -> Worker:
        """Let a worker say goodbye: it beats no more, and its tasks go on."""
        worker = self.workers.pop(name)
        worker.goodbye()
        return worker

    def kill(self, name: str) -> None:
        """Let a worker die without a word."""
        del self.workers[name]

    def restart_monitor(self, *, away_minutes: int) -> None:
        """Let another monitor take over, which knows nothing, after a last shot of the first."""
        self.minutes[-1] += self._shot(QueueDepth("celery", ready=0, consumers=1))
        self.minutes += [()] * away_minutes
        for _ in range(away_minutes):
            self._beat()
        known = self.workers
        self._begin_monitor()
        self.workers = {name: self.scene.worker(name) for name in known}
        for name, worker in self.workers.items():
            worker.processed, worker.active = known[name].processed, known[name].active

    def run(
        self,
        minutes: int,
        *,
        succeeding: int = 2,
        failing: int = 0,
        queue: QueueDepth = IDLE_QUEUE,
        answer: WorkerAnswer = IDLE_WORKER,
        each: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Let so many minutes pass, in each of which every worker runs so many tasks.

        ``each`` is called at the beginning of each with its number.
        """
        for minute in range(minutes):
            each(minute)
            for name, worker in self.workers.items():
                for how, tasks in (("task-succeeded", succeeding), ("task-failed", failing)):
                    for number in range(tasks):
                        uuid = f"{name}-{how}-{len(self.minutes)}-{number}"
                        worker.begin(uuid, name="shop.pay")
                        worker.end(uuid, how=how)
            self._beat()
            self.minutes.append(self._shot(queue, answer))

    def _beat(self) -> None:
        for _ in range(_STEPS):
            self.scene.clock.advance(FREQ)
            for worker in self.workers.values():
                worker.beat()

    def _shot(self, queue: QueueDepth, answer: WorkerAnswer = IDLE_WORKER) -> Period:
        snapshot: Snapshot = self.scene.shoot()
        survey = Survey(
            queues=(queue,),
            workers=tuple(replace(answer, hostname=name) for name in self.workers),
            stalled=(),
        )
        complete = replace(
            snapshot,
            survey=survey,
            failing=self._failing.after(snapshot.window),
            scheduled=self._overdue.after(snapshot),
        )
        return metrics_from(complete, PLAIN)
