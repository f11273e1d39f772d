"""Comparison: the truth beside what the monitor published, number by number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .fleet import Life
from .truth import Truth

BY_WORKER = ("WorkersLost", "TasksOrphaned", "EventsLost")


class Published(Protocol):
    """What arrived in CloudWatch."""

    def sum(self, name: str, /, **dimensions: str) -> float:
        """Return the sum of a series."""
        ...

    def sample_count(self, name: str, /, **dimensions: str) -> float:
        """Return how many values a series has."""
        ...

    def last(self, name: str, /, **dimensions: str) -> float | None:
        """Return the newest value of a series; None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """One number. ``None``: the monitor has not published it."""

    name: str
    truth: float
    monitor: float | None

    @property
    def differs(self) -> bool:
        """Return whether the monitor is wrong."""
        return self.truth != self.monitor

    def text(self, width: int) -> str:
        """Return the row as a line."""
        monitor = "absent" if self.monitor is None else f"{self.monitor:g}"
        difference = ""
        if self.differs:
            difference = "absent" if self.monitor is None else f"{self.monitor - self.truth:+g}"
        return f"{self.name:<{width}} {self.truth:>9g} {monitor:>9} {difference:>10}"


def compare(truth: Truth, published: Published) -> Iterator[Row]:
    """Yield every number: the verdicts, the counts, and the gauges as they are at the end.

    Verdicts are shown by worker only where the workers' numbers differ.
    """
    for name, by_name in zip(
        BY_WORKER, (truth.lost, truth.orphaned, truth.events_lost), strict=True
    ):
        yield Row(name, by_name.total(), published.sum(name))
    for metric, by_task in truth.counts.items():
        yield Row(metric, by_task.total(), published.sum(metric))
        for task in sorted(by_task):
            row = Row(f"{metric} {task}", by_task[task], published.sum(metric, TaskName=task))
            yield row
    succeeded = truth.counts["TasksSucceeded"].total()
    yield Row("TaskRuntime, how many", succeeded, published.sample_count("TaskRuntime"))
    yield Row("WorkersOnline, at the end", truth.online, published.last("WorkersOnline"))
    for gauge in ("TasksRunning", "TasksDraining", "OldestRunningTaskAge", "WorkersStalled"):
        yield Row(f"{gauge}, at the end", 0, published.last(gauge))
    for number in ("EventsInvalid", "TasksForgotten"):
        yield Row(number, 0, published.sum(number))


def differing_workers(
    truth: Truth, published: Published, names: Iterable[str]
) -> Iterator[tuple[str, Row]]:
    """Yield the nodename and the number where a worker's numbers differ."""
    numbers = (truth.lost, truth.orphaned, truth.events_lost)
    for worker in sorted(set(names)):
        for metric, by_name in zip(BY_WORKER, numbers, strict=True):
            row = Row(
                f"{metric} {worker}", by_name[worker], published.sum(metric, WorkerName=worker)
            )
            if row.differs:
                yield worker, row


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text."""
    width = max((len(row.name) for row in rows), default=0)
    head = f"{'':<{width}} {'truth':>9} {'monitor':>9} {'difference':>10}"
    return "\n".join([head, *(row.text(width) for row in rows)])


def biography(lives: Iterable[Life], *, since: float) -> str:
    """Return what happened to the processes of a name, in seconds from the start."""
    lines = []
    for life in lives:
        facts = [f"started {life.started_at - since:.1f}"]
        if life.stopped_at is not None:
            facts.append(f"SIGTERM {life.stopped_at - since:.1f}")
        if life.killed_at is not None:
            facts.append(f"SIGKILL {life.killed_at - since:.1f}")
        if life.exit_code is not None:
            facts.append(f"ended with {life.exit_code}")
        lines.append(f"    process {life.number}, pid {life.pid}: {', '.join(facts)}")
    return "\n".join(lines)
