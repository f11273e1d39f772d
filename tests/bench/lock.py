"""Lock: how long a shot, or a look, keeps the state locked, while no event can be counted.

``scripts/bench --micro`` runs it. It is a script of its own and measures the ``event_monitor`` that
comes first on the path, through nothing but what users of the package call, so that two versions
can be compared: ``cd CHECKOUT && PYTHONPATH=. python THIS_FILE``.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from celery import Celery

from event_monitor import Camera, Settings, State
from event_monitor.events import Event, TaskEvent, TaskType, WorkerEvent
from event_monitor.testing import FakeClock

WORKERS = 1_000
TASKS = 100_000
NAMES = 40
FEW_WORKERS = 50
WIDE_NAMES = 2_000  # each with its counts and times: 10,000 series
INTERVAL_SECONDS = 2.0  # of heartbeats, and between two shots
SILENCE_SECONDS = 600.0  # after which every worker is lost, and none is forgotten

_BATCH = 1_000  # events at a time, as a busy read brings them
_SETTINGS = Settings(max_tasks_in_flight=2 * TASKS, max_task_names=2 * WIDE_NAMES)


class TimedLock:
    """A lock that remembers for how long it was held at a stretch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken_at = 0.0
        self.held: list[float] = []  # seconds

    def __enter__(self) -> None:
        self._lock.acquire()
        self._taken_at = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.held.append(time.perf_counter() - self._taken_at)
        self._lock.release()


class TimedState(State):
    """A state whose lock is timed. ``_mutex`` is the lock of Celery's own state."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(_SETTINGS, clock=clock)
        self._mutex = self.lock = TimedLock()


class Fleet:
    """A state and its camera, and the events of the workers that it watches."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.state = TimedState(self.clock)
        self.camera: Any = Camera(  # Any: an older one has no `peek`
            self.state,
            app=Celery("bench", set_as_current=False),
            settings=_SETTINGS,
            clock=self.clock,
        )

    def beat(self, *, running: int = 0) -> None:
        """Send a heartbeat of every worker, which runs so many tasks."""
        self._observe(
            [
                WorkerEvent(
                    type="worker-heartbeat",
                    hostname=hostname(worker),
                    timestamp=self.clock.wall(),
                    pid=7,
                    freq=INTERVAL_SECONDS,
                    active=running,
                    processed=running,
                    loadavg=(0.5, 0.4, 0.3),
                )
                for worker in range(WORKERS)
            ]
        )

    def send(
        self,
        *types: TaskType,
        tasks: int = TASKS,
        names: int = NAMES,
        workers: int = WORKERS,
    ) -> None:
        """Send an event of each type for each of the tasks."""
        for type_ in types:
            self._observe(
                [
                    TaskEvent(
                        type=type_,
                        hostname=hostname(number % workers),
                        timestamp=self.clock.wall(),
                        pid=7,
                        uuid=f"uuid-{number:06}",
                        name=f"job_{number % names}" if type_ == "task-received" else None,
                        runtime=0.25 if type_ == "task-succeeded" else None,
                    )
                    for number in range(tasks)
                ]
            )

    def _observe(self, events: Sequence[Event]) -> None:
        for first in range(0, len(events), _BATCH):
            self.state.observe(events[first : first + _BATCH])


def hostname(worker: int) -> str:
    """Return the nodename of a worker."""
    return f"celery@worker-{worker}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is measured: ``call``, each time after ``before`` and an interval."""

    title: str
    prepare: Callable[[], Fleet]
    call: Callable[[Fleet], object]
    before: Callable[[Fleet], None] = lambda _fleet: None
    rounds: int = 9
    is_repeatable: bool = True  # on the same fleet; otherwise each round prepares its own


def waiting() -> Fleet:
    """Return a fleet whose tasks have been received, and do not run."""
    fleet = Fleet()
    fleet.beat()
    fleet.send("task-received")
    return fleet


def running() -> Fleet:
    """Return a fleet all of whose tasks run."""
    fleet = waiting()
    fleet.send("task-started")
    fleet.beat(running=TASKS // WORKERS)
    return fleet


def fill_the_window(fleet: Fleet) -> None:
    """Run five tasks of each of very many names to their end."""
    fleet.send(
        "task-received",
        "task-started",
        "task-succeeded",
        tasks=5 * WIDE_NAMES,
        names=WIDE_NAMES,
        workers=FEW_WORKERS,
    )


def shoot(fleet: Fleet) -> None:
    """Take a shot in which nothing is wrong."""
    assert not fleet.camera.capture().losses


def shoot_the_dead(fleet: Fleet) -> None:
    """Take the shot in which every worker is lost."""
    fleet.clock.advance(SILENCE_SECONDS)
    assert len(fleet.camera.capture().losses) == WORKERS


def peek(fleet: Fleet) -> None:
    """Look at what runs, as a page does between two shots."""
    assert fleet.camera.peek().running_count == TASKS


_FLEET = f"{TASKS:,} tasks of {WORKERS:,} workers"
CASES = (
    Case(
        title=f"shot, {5 * WIDE_NAMES:,} series",
        prepare=Fleet,
        before=fill_the_window,
        call=shoot,
    ),
    Case(title=f"shot, {_FLEET} waiting", prepare=waiting, call=shoot),
    Case(title=f"shot, {_FLEET} running", prepare=running, call=shoot),
    Case(
        title=f"shot, {_FLEET} running, all lost",
        prepare=running,
        call=shoot_the_dead,
        rounds=3,
        is_repeatable=False,
    ),
    Case(title=f"peek, {_FLEET} running", prepare=running, call=peek),
)


def measure(case: Case) -> tuple[list[float], list[float]]:
    """Return, in seconds and by round, how long the lock was held, and how long all of it took."""
    held, took = [], []
    fleet: Fleet | None = None
    for _ in range(case.rounds):
        fleet = fleet if fleet and case.is_repeatable else case.prepare()
        case.before(fleet)
        fleet.clock.advance(INTERVAL_SECONDS)
        gc.collect()
        fleet.state.lock.held.clear()
        began = time.perf_counter()
        case.call(fleet)
        took.append(time.perf_counter() - began)
        if not fleet.state.lock.held:
            raise RuntimeError(f"{case.title}: this version's lock is not where Celery has it")
        held.append(max(fleet.state.lock.held))
    return held, took


def main() -> None:
    """Print the table."""
    logging.disable(logging.CRITICAL)  # a thousand warnings of workers that are lost
    # As the monitor does, which would otherwise look for cycles in the middle of a shot.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    width = max(len(case.title) for case in CASES)
    print(f"{'milliseconds':<{width}}  lock held  longest  whole call")  # noqa: T201
    for case in CASES:
        if case.call is peek and not hasattr(Camera, "peek"):
            print(f"{case.title:<{width}}          -        -           -")  # noqa: T201
            continue
        held, took = measure(case)
        print(  # noqa: T201  it is what the command is for
            f"{case.title:<{width}}  {1e3 * median(held):9.2f}  {1e3 * max(held):7.2f}"
            f"  {1e3 * median(took):10.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
