"""Liveness: whatever is received shows that a worker lives, and our own absence shows nothing."""

from __future__ import annotations

import signal

import pytest

from ..support.cloudwatch import CloudWatch
from ..support.verdicts import (
    BEAT_SECONDS,
    GRACE_SECONDS,
    LONG_SECONDS,
    Verdicts,
    lines_with,
)
from ..support.waiting import wait_until
from ..support.witness import Witness

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)
on_rabbitmq = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)


@on_redis
def test_workers_without_heartbeats_live_while_they_answer(
    verdicts: Verdicts, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Solo cannot answer while a task runs, and is given longer; killed, all are lost."""
    # Given
    monitor = verdicts.monitor(worker_drain_seconds=int(LONG_SECONDS) + 11)
    names = ("prefork@host1", "solo@host1")
    workers = verdicts.workers(*names, heartbeats=False)
    verdicts.wait_for_last("WorkersOnline", len(names))

    # When they run tasks longer than the grace
    for uuid in [verdicts.begin(LONG_SECONDS, on=name) for name in names]:
        witness.wait_for(LONG_SECONDS + 60, uuid=uuid, type="task-succeeded")
    verdicts.wait_for_sum("TasksSucceeded", len(names))
    verdicts.outlast_the_grace()

    # Then nothing is wrong, and for each one line says that it has no heartbeats
    assert verdicts.found == {}
    assert cloudwatch.last("WorkersOnline") == len(names)
    assert [len(lines_with(monitor, "heartbeat", name)) for name in names] == [1, 1]

    # And when they are killed, their answers stop coming
    for worker in workers.values():
        worker.kill()
    verdicts.wait_for_sum("WorkersLost", len(names), seconds=60)
    verdicts.wait_for_last("WorkersOnline", 0)
    assert monitor.stop() == 0
    assert verdicts.found == {"WorkersLost": dict.fromkeys(names, 1)}


@on_rabbitmq  # on Redis a soak does the same
def test_a_monitor_that_was_frozen_judges_nobody_for_it(
    verdicts: Verdicts, cloudwatch: CloudWatch
) -> None:
    """It reads what waits first, and begins anew; who dies afterwards is lost all the same."""
    # Given
    monitor = verdicts.monitor()
    names = ("w1@host1", "w2@host1", "w3@host1")
    workers = verdicts.workers(*names)
    verdicts.begin(600, on=names[0])
    verdicts.wait_for_last("WorkersOnline", len(names))
    verdicts.wait_for_last("TasksRunning", 1)

    # When it is frozen while each worker beats for twice the grace
    monitor.send(signal.SIGSTOP)
    beats = [verdicts.beats_since_now(name) for name in names]
    enough = 2 * GRACE_SECONDS // BEAT_SECONDS
    wait_until(lambda: min(count() for count in beats) >= enough, 60, "they beat")
    monitor.send(signal.SIGCONT)
    verdicts.outlast_the_grace()

    # Then
    assert verdicts.found == {}
    assert cloudwatch.last("WorkersOnline") == len(names)
    assert cloudwatch.last("TasksRunning") == 1

    # And who dies afterwards is lost
    for worker in workers.values():
        worker.kill()
    verdicts.wait_for_sum("WorkersLost", len(names))
    verdicts.wait_for_last("WorkersOnline", 0)
    assert monitor.stop() == 0
    assert verdicts.found == {
        "WorkersLost": dict.fromkeys(names, 1),
        "TasksOrphaned": {names[0]: 1},
    }
