"""Identity: one nodename and several processes, at a time or one after the other."""

from __future__ import annotations

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.processes import Processes, require_containers
from ..support.verdicts import (
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
REMEDY = "start each with its own -n"

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.mark.parametrize("in_container", [True, False], ids=["pid 1", "two pids"])
def test_two_living_workers_under_one_name_are_well(
    in_container: bool,
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: CloudWatch,
) -> None:
    """Nobody is dead, orphaned or unheard; one WARNING says what to do."""
    # Given two workers under one name, one of which has worked alone for a while
    if in_container:
        require_containers()
    monitor = processes.monitor("run", environ=IMPATIENT)
    processes.worker(NAME, concurrency=1, in_container=in_container)
    for _ in range(10):
        client.tasks["proj.succeed"].delay()
    wait_for_sum(cloudwatch, "TasksSucceeded", 10)
    processes.worker(NAME, concurrency=1, in_container=in_container)

    # When both run tasks, short ones and some longer than a heartbeat, and beat for a while
    beats, sent = beats_since(witness, NAME), 0

    def both_beat_on() -> bool:
        nonlocal sent
        client.tasks["proj.succeed"].delay()
        sent += 1
        return beats() >= 12

    long = [client.tasks["proj.sleep_for"].delay(5).id for _ in range(2)]
    wait_until(both_beat_on, 40, "both beat", poll_seconds=0.5)
    for uuid in long:
        witness.wait_for(20, uuid=uuid, type="task-succeeded")
    wait_for_sum(cloudwatch, "TasksSucceeded", 10 + sent + len(long))
    outlast_the_grace(cloudwatch)

    # Then
    assert monitor.stop() == 0
    assert verdicts(cloudwatch) == none_but()
    assert cloudwatch.sum("TasksSucceeded") == 10 + sent + len(long)
    assert cloudwatch.last("WorkersOnline") in (1, 2)
    assert monitor.output.count(REMEDY) == 1
    warning = next(line for line in monitor.output.splitlines() if REMEDY in line)
    assert "WARNING" in warning
    assert NAME in warning


@pytest.mark.parametrize("in_container", [True, False], ids=["pid 1", "new pids"])
def test_each_death_in_a_crash_loop_counts(
    in_container: bool,
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: CloudWatch,
) -> None:
    """Each of four workers of one name dies within a heartbeat of starting its task."""
    # Given
    if in_container:
        require_containers()
    monitor = processes.monitor("run", environ=IMPATIENT)

    # When
    for _ in range(4):
        worker = processes.worker(NAME, concurrency=1, in_container=in_container)
        begin(client, witness, seconds=600)
        worker.kill()
    wait_for_sum(cloudwatch, "WorkersLost", 4)
    wait_for_last(cloudwatch, "WorkersOnline", 0)
    outlast_the_grace(cloudwatch)

    # Then
    assert monitor.stop() == 0
    assert verdicts(cloudwatch) == none_but(WorkersLost=4, TasksOrphaned=4)
    assert REMEDY not in monitor.output
