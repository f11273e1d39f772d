"""Goodbye: a worker that said it is final, and the tasks it still runs go on."""

from __future__ import annotations

import importlib.util
import os
import signal

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.processes import Processes, require_containers
from ..support.servers import missing
from ..support.verdicts import (
    GRACE_SECONDS,
    IMPATIENT,
    SOON,
    begin,
    none_but,
    outlast_the_grace,
    stopwatch,
    verdicts,
    wait_for_last,
    wait_for_sum,
)
from ..support.waiting import wait_until
from ..support.witness import Witness

NAME = "w1@host1"
TASK_SECONDS = 3 * GRACE_SECONDS
DRAIN_SECONDS = 8

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_the_tasks_of_a_stopped_worker_go_on(
    pool: str, processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Longer than the grace: nothing is lost or orphaned; gevent even beats all the while."""
    # Given a worker that runs a long task
    if pool == "gevent" and importlib.util.find_spec("gevent") is None:
        missing("gevent")
    monitor = processes.monitor("run", environ=IMPATIENT)
    worker = processes.worker(NAME, pool=pool)
    uuid, _ = begin(client, witness, seconds=TASK_SECONDS)
    wait_for_last(cloudwatch, "WorkersOnline", 1)

    # When it is stopped
    worker.send(signal.SIGTERM)
    witness.wait_for(10, type="worker-offline", hostname=NAME)

    # Then it is gone, and its task is still running
    wait_for_last(cloudwatch, "WorkersOnline", 0)
    wait_for_last(cloudwatch, "TasksDraining", 1)
    assert cloudwatch.last("TasksRunning") == 1
    assert witness.events(uuid=uuid, type="task-succeeded") == []

    # And its end is counted
    assert worker.wait() == 0
    wait_for_sum(cloudwatch, "TasksSucceeded", 1)
    wait_for_last(cloudwatch, "TasksDraining", 0)
    outlast_the_grace(cloudwatch)
    assert monitor.stop() == 0
    assert verdicts(cloudwatch) == none_but()
    assert cloudwatch.last("WorkersOnline") == 0
    assert cloudwatch.last("WorkersOffline") == 1
    assert cloudwatch.last("TasksRunning") == 0
    goodbyes = [line for line in monitor.output.splitlines() if uuid in line]
    assert len(goodbyes) == 1, "the line that says goodbye names the task"
    assert NAME in goodbyes[0]


def test_a_kill_after_the_goodbye_leaves_orphans_at_the_limit(
    processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Only then: nobody but the limit can tell. The worker itself is not lost."""
    # Given
    settings = {**IMPATIENT, "EVENT_MONITOR_WORKER_DRAIN_SECONDS": str(DRAIN_SECONDS)}
    monitor = processes.monitor("run", environ=settings)
    worker = processes.worker(NAME)
    begin(client, witness, seconds=600)
    wait_for_last(cloudwatch, "TasksRunning", 1)

    # When
    seconds = stopwatch()
    worker.send(signal.SIGTERM)
    witness.wait_for(10, type="worker-offline", hostname=NAME)
    worker.kill()
    wait_for_last(cloudwatch, "TasksDraining", 1)
    assert cloudwatch.sum("TasksOrphaned") == 0
    wait_until(
        lambda: cloudwatch.sum("TasksOrphaned") == 1, DRAIN_SECONDS + SOON, "it is an orphan"
    )

    # Then
    assert seconds() >= DRAIN_SECONDS
    wait_for_last(cloudwatch, "TasksDraining", 0)
    assert monitor.stop() == 0
    assert verdicts(cloudwatch) == none_but(TasksOrphaned=1)
    assert cloudwatch.last("TasksRunning") == 0


@pytest.mark.parametrize("in_container", [True, False], ids=["pid 1", "new pid"])
def test_a_new_worker_of_the_name_orphans_nothing_of_the_old(
    in_container: bool,
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: CloudWatch,
) -> None:
    """While the old one drains, longer than the grace, the new one works and beats."""
    # Given
    if in_container:
        require_containers()
    monitor = processes.monitor("run", environ=IMPATIENT)
    old = processes.worker(NAME, concurrency=1, in_container=in_container)
    uuid, _ = begin(client, witness, seconds=TASK_SECONDS)

    # When the old one is stopped and a new one takes its name
    old.send(signal.SIGTERM)
    witness.wait_for(10, type="worker-offline", hostname=NAME)
    processes.worker(NAME, concurrency=1, in_container=in_container)
    for _ in range(3):
        client.tasks["proj.succeed"].delay()
    wait_for_sum(cloudwatch, "TasksSucceeded", 3)
    assert witness.events(uuid=uuid, type="task-succeeded") == []
    assert old.wait() == 0
    wait_for_sum(cloudwatch, "TasksSucceeded", 4)
    outlast_the_grace(cloudwatch)

    # Then
    assert monitor.stop() == 0
    assert verdicts(cloudwatch) == none_but()
    assert cloudwatch.sum("TasksSucceeded") == 4
    assert cloudwatch.last("WorkersOnline") == 1
    assert cloudwatch.last("TasksRunning") == 0


def test_a_drain_shows_what_the_kernel_stopped(
    processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """A stopped worker that is frozen while it drains keeps its task until it goes on."""
    # Given a worker that drains
    monitor = processes.monitor("run", environ=IMPATIENT)
    worker = processes.worker(NAME)
    begin(client, witness, seconds=GRACE_SECONDS)
    worker.send(signal.SIGTERM)
    witness.wait_for(10, type="worker-offline", hostname=NAME)

    # When it is frozen for longer than the grace
    os.killpg(worker.pid, signal.SIGSTOP)
    outlast_the_grace(cloudwatch)
    os.killpg(worker.pid, signal.SIGCONT)

    # Then
    assert worker.wait() == 0
    wait_for_sum(cloudwatch, "TasksSucceeded", 1)
    assert monitor.stop() == 0
    assert verdicts(cloudwatch) == none_but()
