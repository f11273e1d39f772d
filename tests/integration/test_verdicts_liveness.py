"""Liveness: whatever is received shows that a worker lives, and our own absence shows nothing."""

from __future__ import annotations

import signal

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.processes import Processes
from ..support.verdicts import (
    GRACE_SECONDS,
    IMPATIENT,
    beats_since,
    begin,
    none_but,
    outlast_the_grace,
    verdicts,
    wait_for_last,
    wait_for_sum,
)
from ..support.waiting import wait_until
from ..support.witness import Witness

NAME = "w1@host1"
TASK_SECONDS = 3 * GRACE_SECONDS

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@on_redis
def test_a_worker_without_heartbeats_lives_while_it_answers(
    processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """It is online, also with no event for longer than the grace; killed, it is lost."""
    # Given
    monitor = processes.monitor("run", environ=IMPATIENT)
    worker = processes.worker(NAME, heartbeats=False)
    wait_for_last(cloudwatch, "WorkersOnline", 1)

    # When it runs a task longer than the grace
    uuid, _ = begin(client, witness, seconds=TASK_SECONDS)
    wait_for_last(cloudwatch, "TasksRunning", 1)
    witness.wait_for(TASK_SECONDS + 15, uuid=uuid, type="task-succeeded")
    wait_for_sum(cloudwatch, "TasksSucceeded", 1)
    outlast_the_grace(cloudwatch)

    # Then nothing is wrong, and one line says that it has no heartbeats
    assert verdicts(cloudwatch) == none_but()
    assert cloudwatch.last("WorkersOnline") == 1
    said = [line for line in monitor.output.splitlines() if "heartbeat" in line and NAME in line]
    assert len(said) == 1

    # And when it is killed, its answers stop coming
    worker.kill()
    wait_for_sum(cloudwatch, "WorkersLost", 1)
    wait_for_last(cloudwatch, "WorkersOnline", 0)
    assert monitor.stop() == 0
    assert verdicts(cloudwatch) == none_but(WorkersLost=1)


@on_redis
def test_a_solo_worker_without_heartbeats_is_not_judged_while_its_task_runs(
    processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """It can neither beat nor answer then."""
    # Given
    monitor = processes.monitor("run", environ=IMPATIENT)
    processes.worker(NAME, pool="solo", concurrency=1, heartbeats=False)
    wait_for_last(cloudwatch, "WorkersOnline", 1)

    # When
    uuid, _ = begin(client, witness, seconds=TASK_SECONDS)
    witness.wait_for(TASK_SECONDS + 15, uuid=uuid, type="task-succeeded")
    wait_for_sum(cloudwatch, "TasksSucceeded", 1)
    outlast_the_grace(cloudwatch)

    # Then
    assert monitor.stop() == 0
    assert verdicts(cloudwatch) == none_but()
    assert cloudwatch.last("WorkersOnline") == 1


def test_a_monitor_that_was_frozen_judges_nobody_for_it(
    processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """It reads what waits first, and begins anew; who dies then is lost all the same."""
    # Given
    monitor = processes.monitor("run", environ=IMPATIENT)
    names = [f"w{number}@host1" for number in range(4)]
    workers = [processes.worker(name, concurrency=1) for name in names]
    wait_for_last(cloudwatch, "WorkersOnline", len(names))
    begin(client, witness, seconds=600)

    # When it is frozen while each worker beats for much longer than the grace
    monitor.send(signal.SIGSTOP)
    beats = [beats_since(witness, name) for name in names]
    wait_until(lambda: min(count() for count in beats) >= GRACE_SECONDS, 40, "they beat")
    monitor.send(signal.SIGCONT)
    outlast_the_grace(cloudwatch)

    # Then
    assert (cloudwatch.sum("WorkersLost"), cloudwatch.sum("TasksOrphaned")) == (0, 0)
    assert cloudwatch.last("WorkersOnline") == len(names)
    assert cloudwatch.last("TasksRunning") == 1

    # And who dies afterwards is lost
    for worker in workers:
        worker.kill()
    wait_for_sum(cloudwatch, "WorkersLost", len(names))
    wait_for_last(cloudwatch, "WorkersOnline", 0)
    assert monitor.stop() == 0
    assert verdicts(cloudwatch) == none_but(WorkersLost=len(names), TasksOrphaned=1)
