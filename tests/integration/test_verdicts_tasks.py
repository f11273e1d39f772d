"""Tasks: runs that end in an unusual way are counted for what they are, and nobody is stalled."""

from __future__ import annotations

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.processes import Processes
from ..support.proj import QUEUES
from ..support.verdicts import (
    IMPATIENT,
    INTERVAL_SECONDS,
    none_but,
    outlast_the_grace,
    verdicts,
    wait_for_last,
    wait_for_sum,
)
from ..support.waiting import wait_until
from ..support.witness import Witness

STALLED_SECONDS = 10  # the least that can be set

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)
pytestmark = on_redis


def test_runs_without_an_ending_of_their_own(
    processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Rejected is not failed as well, given up is counted as such, silent on purpose is no loss."""
    # Given
    monitor = processes.monitor("run", environ=IMPATIENT)
    processes.worker("w1@host1", concurrency=1)

    # When
    rejected = [client.tasks["proj.reject"].delay().id for _ in range(2)]
    ignored = [client.tasks["proj.ignore"].delay().id for _ in range(3)]
    for _ in range(5):
        client.tasks["proj.silent"].delay()
        client.tasks["proj.succeed"].delay()
    for uuid in rejected:
        witness.wait_for(20, uuid=uuid, type="task-rejected")
    for uuid in ignored:
        witness.wait_for(20, uuid=uuid, type="task-started")
    wait_for_sum(cloudwatch, "TasksSucceeded", 5)
    wait_for_sum(cloudwatch, "TasksVanished", 3)
    outlast_the_grace(cloudwatch)

    # Then
    assert monitor.stop() == 0
    counted = {
        metric: cloudwatch.sum(metric)
        for metric in ("TasksRejected", "TasksFailed", "TasksVanished", "TasksSucceeded")
    }
    assert counted == {
        "TasksRejected": 2,
        "TasksFailed": 0,
        "TasksVanished": 3,
        "TasksSucceeded": 5,
    }
    assert verdicts(cloudwatch) == none_but()
    assert cloudwatch.last("TasksRunning") == 0


def test_a_worker_that_is_held_back_is_not_stalled(
    processes: Processes, client: Celery, cloudwatch: CloudWatch
) -> None:
    """By a rate limit, or because it was told to read no queue."""
    # Given a worker with a rate limit, and one that reads no queue any more
    settings = {**IMPATIENT, "EVENT_MONITOR_WORKER_STALLED_SECONDS": str(STALLED_SECONDS)}
    monitor = processes.monitor("run", environ=settings)
    processes.worker("limited@host1", concurrency=1)
    processes.worker("paused@host1", concurrency=1)
    client.control.rate_limit("proj.succeed", "1/h", reply=True, timeout=5)
    for queue in QUEUES:
        client.control.cancel_consumer(queue, destination=["paused@host1"], reply=True, timeout=5)
    wait_for_last(cloudwatch, "WorkersOnline", 2)

    # When more tasks wait than the limited one may begin, for longer than is allowed
    for _ in range(20):
        client.tasks["proj.succeed"].delay()
    wait_for_sum(cloudwatch, "TasksReceived", 4)
    shots = cloudwatch.count("WorkersStalled") + STALLED_SECONDS // INTERVAL_SECONDS + 4
    wait_until(lambda: cloudwatch.count("WorkersStalled") >= shots, 60, "windows are published")

    # Then
    assert monitor.stop() == 0
    assert max(cloudwatch.values("WorkersStalled")) == 0
    assert (cloudwatch.last("QueueLength") or 0) > 0, "something waited, or nothing was tried"
    assert "stalled" not in monitor.output
    assert verdicts(cloudwatch) == none_but()
