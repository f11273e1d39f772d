"""Comparison: the truth beside what the monitor published, number by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .fleet import Life
from .truth import Truth


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
    """One number. ``None``: the monitor has not published it.

    ``undecided``: by how much the monitor may have more, where the truth cannot be known.
    """

    name: str
    truth: float
    monitor: float | None
    undecided: float = 0

    @property
    def differs(self) -> bool:
        """Return whether the monitor is wrong."""
        return self.monitor is None or not (
            self.truth <= self.monitor <= self.truth + self.undecided
        )

    def text(self, width: int) -> str:
        """Return the row as a line."""
        monitor = "absent" if self.monitor is None else f"{self.monitor:g}"
        difference = ""
        if self.differs:
            difference = "absent" if self.monitor is None else f"{self.monitor - self.truth:+g}"
        truth = f"{self.truth:g}" + (f"–{self.truth + self.undecided:g}" if self.undecided else "")
        return f"{self.name:<{width}} {truth:>9} {monitor:>9} {difference:>10}"


def compare(truth: Truth, published: Published) -> Iterator[Row]:
    """Yield every number: the verdicts, the counts, and the gauges as they are at the end.

    Verdicts are shown by worker only where the workers' numbers differ.
    """
    for name, by_name, undecided in _verdicts(truth):
        yield Row(name, by_name.total(), published.sum(name), undecided.total())
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
    for worker in sorted(set(names)):
        for metric, by_name, undecided in _verdicts(truth):
            monitor = published.sum(metric, WorkerName=worker)
            row = Row(f"{metric} {worker}", by_name[worker], monitor, undecided[worker])
            if row.differs:
                yield worker, row


def _verdicts(truth: Truth) -> Iterator[tuple[str, Counter[str], Counter[str]]]:
    """Yield each verdict's metric, its numbers by nodename, and how many more there may be."""
    yield "WorkersLost", truth.lost, Counter()
    yield "TasksOrphaned", truth.orphaned, truth.over
    yield "EventsLost", truth.events_lost, truth.buffered


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
