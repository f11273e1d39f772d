"""Short ways to make what is shown: windows, looks and snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from event_monitor.distribution import Distribution
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    UNKNOWN,
    BrokerLink,
    Live,
    Role,
    Snapshot,
    TaskCounts,
    Window,
    WorkerState,
    WorkerStatus,
    total,
)
from event_monitor.testing import FakeClock
from event_monitor.web.cells import Room
from event_monitor.web.views import Views

Tasks = Mapping[str, TaskCounts] | Mapping[tuple[str, str], TaskCounts]


def _counted(tasks: Tasks | None) -> dict[str, Any]:
    """Return the fields of a window or a look; a name alone is of a queue that nothing tells."""
    pairs = [
        ((of, UNKNOWN) if isinstance(of, str) else of, counts)
        for of, counts in (tasks or {}).items()
    ]
    return {
        "tasks": tuple((name, counts) for (name, _), counts in pairs),
        "by_task_and_queue": tuple((name, queue, counts) for (name, queue), counts in pairs),
    }


def live(tasks: Tasks | None = None, *, opened_at: float = 0.0, **fields: Any) -> Live:
    fields.setdefault("taken_at", opened_at + 1)
    return Live(opened_at=opened_at, **_counted(tasks), **fields)


def window(tasks: Tasks | None = None, *, opened_at: float = 0.0, **fields: Any) -> Window:
    return Window(opened_at, opened_at + 60, **_counted(tasks), **fields)


def snapshot(tasks: Tasks | None = None, *, opened_at: float = 0.0, **fields: Any) -> Snapshot:
    return Snapshot(window=window(tasks, opened_at=opened_at), **fields)


def on_workers(counts: Mapping[str | None, TaskCounts], name: str = "proj.add") -> dict[str, Any]:
    """Return the same where hosts are told apart: one name and queue, by worker."""
    whole = total(counts.values())
    return {
        "tasks": ((name, whole),),
        "by_task_and_queue": ((name, "celery", whole),),
        "by_task_queue_and_worker": tuple(
            (name, "celery", worker, of) for worker, of in counts.items()
        ),
    }


def worker(name: str, state: WorkerState = WorkerState.ONLINE, **fields: Any) -> WorkerStatus:
    fields.setdefault("silent_seconds", 1.0)
    return WorkerStatus(name, state, **fields)


def times(*values: float) -> Distribution:
    return Distribution(tuple(sorted(set(values))), tuple(map(values.count, sorted(set(values)))))


class Scene:
    """Views with what they look at in the test's hands."""

    def __init__(self, *, room: Room | None = None, **settings: Any) -> None:
        self.clock = FakeClock(wall=1_000.0)
        self.live = live(link=BrokerLink.LISTENING)
        self.problem: str | None = None
        self.role = Role.ALONE
        self.second = ""
        self.views = Views(
            Settings(**settings),
            peek=lambda: self.live,
            problem=lambda: self.problem,
            role=lambda: self.role,
            second=lambda: self.second,
            room=room,
            clock=self.clock,
        )

    def scrape(self, scraper: str = "prometheus", *, openmetrics: bool = False) -> dict[str, float]:
        """Return the lines by what stands before their value, without comments."""
        text = self.views.metrics(scraper=scraper, openmetrics=openmetrics).decode()
        lines = [line for line in text.split("\n") if line and not line.startswith("#")]
        found = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
        assert len(found) == len(lines), "a series is there twice"
        return found
