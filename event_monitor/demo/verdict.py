"""Verdict: what happened beside what CloudWatch holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .cloudwatch import Reading
from .ledger import GroundTruth

__all__ = ["PER_TASK", "Comparison", "Verdict", "compare", "has_arrived"]

#: The metrics compared per task name, with the heading each has in the table.
PER_TASK = {
    "TasksSucceeded": "succeeded",
    "TasksFailed": "failed",
    "TasksRetried": "retried",
    "TaskRuntime": "run times",
    "TaskQueueTime": "queue times",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One number, as it happened and as it was counted."""

    happened: int
    counted: int

    @property
    def agrees(self) -> bool:
        """Whether the two numbers are the same."""
        return self.happened == self.counted


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every comparison: by metric for the totals, then by task and metric."""

    totals: dict[str, Comparison]
    tasks: dict[str, dict[str, Comparison]]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """All of them, totals first."""
        return (
            *self.totals.values(),
            *(comparison for row in self.tasks.values() for comparison in row.values()),
        )

    @property
    def agrees(self) -> bool:
        """Whether all agree."""
        return all(comparison.agrees for comparison in self.comparisons)


def has_arrived(truth: GroundTruth, reading: Reading) -> bool:
    """Return whether every run so far is counted; for use while the demo goes on."""
    return all(comparison.agrees for comparison in _compare_runs(truth, reading).values())


def compare(truth: GroundTruth, reading: Reading, *, killed: str) -> Verdict:
    """Return the verdict at the end; ``killed`` is the worker that died with one task.

    A task that CloudWatch knows and the ledger does not is compared with zeros.
    """
    totals = {
        **_compare_runs(truth, reading),
        "WorkersLost": Comparison(1, reading.sum("WorkersLost")),
        f"WorkersLost of {killed}": Comparison(1, reading.sum("WorkersLost", WorkerName=killed)),
        "TasksOrphaned": Comparison(1, reading.sum("TasksOrphaned")),
        "EventsInvalid": Comparison(0, reading.sum("EventsInvalid")),
        "TasksForgotten": Comparison(0, reading.sum("TasksForgotten")),
        "DatumsDropped": Comparison(0, reading.sum("DatumsDropped")),
    }
    names = dict.fromkeys((*truth.tasks, *reading.split_by("TaskName")))
    return Verdict(totals, {name: _compare_task(name, truth, reading) for name in sorted(names)})


def _compare_runs(truth: GroundTruth, reading: Reading) -> dict[str, Comparison]:
    started, succeeded = truth.total("started"), truth.total("succeeded")
    return {
        "TasksSent": Comparison(truth.published, reading.sum("TasksSent")),
        "TasksReceived": Comparison(truth.published, reading.sum("TasksReceived")),
        "TasksStarted": Comparison(started, reading.sum("TasksStarted")),
        "TasksSucceeded": Comparison(succeeded, reading.sum("TasksSucceeded")),
        "TasksFailed": Comparison(truth.total("failed"), reading.sum("TasksFailed")),
        "TasksRetried": Comparison(truth.total("retried"), reading.sum("TasksRetried")),
        "TaskRuntime values": Comparison(succeeded, len(reading.values("TaskRuntime"))),
        "TaskQueueTime values": Comparison(started, len(reading.values("TaskQueueTime"))),
    }


def _compare_task(name: str, truth: GroundTruth, reading: Reading) -> dict[str, Comparison]:
    started, succeeded = truth.of_task("started", name), truth.of_task("succeeded", name)

    def summed(metric: str) -> int:
        return reading.sum(metric, TaskName=name)

    def valued(metric: str) -> int:
        return len(reading.values(metric, TaskName=name))

    return {
        "TasksSucceeded": Comparison(succeeded, summed("TasksSucceeded")),
        "TasksFailed": Comparison(truth.of_task("failed", name), summed("TasksFailed")),
        "TasksRetried": Comparison(truth.of_task("retried", name), summed("TasksRetried")),
        "TaskRuntime": Comparison(succeeded, valued("TaskRuntime")),
        "TaskQueueTime": Comparison(started, valued("TaskQueueTime")),
    }
