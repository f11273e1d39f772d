"""Identity: one nodename and several processes, at a time or one after the other."""

from __future__ import annotations

import pytest

from ..support.cloudwatch import CloudWatch
from ..support.processes import require_containers
from ..support.verdicts import Verdicts, lines_with
from ..support.waiting import wait_until
from ..support.witness import Witness

CONTAINER, HOST = "w1@container", "w1@host"  # each process is pid 1, or has a pid of its own
REMEDY = "start each with its own -n"

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


def test_two_living_workers_under_one_name_are_well(
    verdicts: Verdicts, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Nobody is dead, no task orphaned and no event lost; one WARNING names each name."""
    # Given a worker of each kind that has worked alone, and then a second one of its name
    require_containers()
    monitor = verdicts.monitor()
    verdicts.workers(CONTAINER, HOST)
    for name in (CONTAINER, HOST) * 10:
        verdicts.send("succeed", to=name)
    verdicts.wait_for_sum("TasksSucceeded", 20)
    verdicts.workers(CONTAINER, HOST)
    beats = [verdicts.beats_since_now(name) for name in (CONTAINER, HOST)]

    # When all run tasks, short ones and some of several heartbeats, while they beat
    long = [verdicts.send("sleep_for", 4, to=name) for name in (CONTAINER, HOST) * 2]
    sent = 20 + len(long)

    def all_beat_on() -> bool:
        nonlocal sent
        for name in (CONTAINER, HOST):
            verdicts.send("succeed", to=name)
            sent += 1
        return min(count() for count in beats) >= 14

    wait_until(all_beat_on, 60, "they beat", poll_seconds=0.5)
    for uuid in long:
        witness.wait_for(60, uuid=uuid, type="task-succeeded")
    verdicts.wait_for_sum("TasksSucceeded", sent)
    verdicts.outlast_the_grace()

    # Then
    assert monitor.stop() == 0
    assert verdicts.found == {}
    assert cloudwatch.sum("TasksSucceeded") == sent
    assert cloudwatch.last("TasksRunning") == 0
    assert cloudwatch.last("WorkersOnline") in (2, 3, 4)
    warnings = lines_with(monitor, "WARNING", REMEDY)
    assert [[name for name in (CONTAINER, HOST) if name in line] for line in sorted(warnings)] in (
        [[CONTAINER], [HOST]],
        [[HOST], [CONTAINER]],
    )


def test_each_death_in_a_crash_loop_counts(verdicts: Verdicts) -> None:
    """Each of four workers of one name dies within a heartbeat of starting its task."""
    # Given
    require_containers()
    monitor = verdicts.monitor()

    # When
    for _ in range(4):
        for name, worker in verdicts.workers(CONTAINER, HOST).items():
            verdicts.begin(600, on=name)
            worker.kill()
    verdicts.wait_for_sum("WorkersLost", 8)
    verdicts.wait_for_last("WorkersOnline", 0)

    # Then
    assert monitor.stop() == 0
    four = {CONTAINER: 4, HOST: 4}
    assert verdicts.found == {"WorkersLost": four, "TasksOrphaned": four}
    assert lines_with(monitor, REMEDY) == []
