"""The promise: after any mix of tasks, every sum in CloudWatch equals what happened."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.mix import BY_TASK, TOTALS, apply_mix
from ..support.processes import Processes
from ..support.witness import Witness


@pytest.mark.parametrize(
    ("broker", "way"), [("redis", "celery-events"), ("rabbitmq", "run")], indirect=["broker"]
)
def test_every_sum_is_exact_after_sigterm(
    way: str, processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Totals and sums per task equal the truth when the monitor is ended in mid-window."""
    # Given a monitor that was there first, and two workers
    monitor = processes.monitor(way)
    processes.workers("w1@host1", "w2@host1")

    # When every kind of task has ended, some of them just now, and the monitor is stopped
    apply_mix(client, witness, interval_seconds=2)
    exit_code = monitor.stop()

    # Then it ends well, and nothing is missing or counted twice
    assert exit_code == 0
    assert {metric: cloudwatch.sum(metric) for metric in TOTALS} == TOTALS
    assert {metric: cloudwatch.by_task(metric) for metric in BY_TASK} == BY_TASK
    assert cloudwatch.count("TaskRuntime") == TOTALS["TasksSucceeded"]
    assert cloudwatch.sum("EventsInvalid") == 0
    assert cloudwatch.last("WorkersOnline") == 2

    # And that is the truth: the raw events are as many, with no monitor between
    witness.wait_for_beats("w1@host1", "w2@host1")
    assert_that_totals_are_true(witness)


def assert_that_totals_are_true(witness: Witness) -> None:
    """Compare ``TOTALS`` with the raw events.

    There is one failure that Celery may announce twice, and those that it announces of what is
    rejected.
    """
    sent = Counter(event["type"] for event in _without_repeats(witness))
    assert sent == {
        "task-sent": TOTALS["TasksSent"],
        "task-received": TOTALS["TasksReceived"],
        "task-started": TOTALS["TasksStarted"],
        "task-succeeded": TOTALS["TasksSucceeded"],
        "task-failed": TOTALS["TasksFailed"] + TOTALS["TasksRejected"],
        "task-retried": TOTALS["TasksRetried"],
        "task-revoked": TOTALS["TasksRevoked"],
        "task-rejected": TOTALS["TasksRejected"],
    }
    revoked = witness.events(type="task-revoked")
    assert sum(event["expired"] for event in revoked) == TOTALS["TasksExpired"]
    assert sum(event["terminated"] for event in revoked) == TOTALS["TasksTerminated"]


def _without_repeats(witness: Witness) -> list[dict[str, object]]:
    """Return the task events; of a task's failures with nothing between them, the first."""
    events = sorted(
        (event for event in witness.events() if event["type"].startswith("task-")),
        key=lambda event: str(event["uuid"]),  # stable: the order of arrival stays within a task
    )
    kept: list[dict[str, object]] = []
    for (_, type_), repeats in groupby(events, key=lambda event: (event["uuid"], event["type"])):
        kept.extend(list(repeats)[: 1 if type_ == "task-failed" else None])
    return kept
