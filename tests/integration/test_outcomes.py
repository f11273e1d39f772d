"""Outcomes: what retries came to and what ran twice, as real workers and brokers have it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.processes import Processes
from ..support.proj import RETRIES
from ..support.waiting import wait_until
from ..support.witness import Witness

PATIENCE = 90  # seconds; a message on Redis comes again when a worker happens to look
VISIBILITY_SECONDS = 3
VISIBILITY_TIMEOUT = {"VISIBILITY_TIMEOUT": str(VISIBILITY_SECONDS)}
LATE = "proj.hold_late"
OUTCOMES = (
    *("TasksRecovered", "TasksExhausted", "TasksRedelivered", "TasksDuplicated", "TasksMissing"),
)

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)


def outcomes(cloudwatch: CloudWatch) -> dict[str, float]:
    return {name: cloudwatch.sum(name) for name in OUTCOMES if cloudwatch.sum(name)}


def starts_of(witness: Witness, uuid: str) -> Callable[[], int]:
    """Return a function that returns how often the task has begun."""
    return lambda: len(witness.events(uuid=uuid, type="task-started"))


def wait_until_overdue(witness: Witness, uuid: str) -> None:
    """Wait until the task has run for longer than Redis waits for its acknowledgement.

    A worker looks for messages of such tasks when it starts, and then every hundred seconds.
    """
    began_at = witness.wait_for(PATIENCE, uuid=uuid, type="task-started")["timestamp"]
    overdue_at = began_at + 2 * VISIBILITY_SECONDS
    wait_until(lambda: time.time() > overdue_at, PATIENCE, "the timeout has passed")


def test_what_retries_come_to_is_counted(
    processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Recovered, exhausted, and what failed at once; with how often, and how long it took."""
    # Given
    monitor = processes.monitor("run", environ={"EVENT_MONITOR_TIME_TOTAL": "true"})
    processes.workers("w1@host1", "w2@host1")

    # When
    runs = {"retry_then_succeed": 3, "exhaust": 2, "fail": 4, "succeed": 5}
    for name, times in runs.items():
        for _ in range(times):
            client.tasks[f"proj.{name}"].delay()
    wait_until(
        lambda: (
            len(witness.events(type="task-succeeded")) >= 8
            and len(witness.events(type="task-failed")) >= 6
        ),
        PATIENCE,
        "all have ended",
    )
    witness.wait_for_beats("w1@host1", "w2@host1")
    assert monitor.stop() == 0

    # Then
    assert outcomes(cloudwatch) == {"TasksRecovered": 3, "TasksExhausted": 2}
    assert cloudwatch.sum("TasksRetried") == RETRIES * 5
    assert cloudwatch.values("TaskRetries") == [RETRIES] * 5
    assert cloudwatch.count("TaskFailedRuntime") == 6
    assert cloudwatch.count("TaskTotalTime") == 14


def test_a_task_whose_worker_is_killed_is_redelivered(
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: CloudWatch,
    tmp_path: Path,
) -> None:
    """RabbitMQ delivers it again at once, Redis after the visibility timeout; it ends once."""
    # Given a task that is acknowledged late
    monitor = processes.monitor("run")
    first = processes.worker("w1@host1", environ=VISIBILITY_TIMEOUT)
    gate = tmp_path / "gate"
    uuid = client.tasks[LATE].delay(str(gate)).id
    witness.wait_for(PATIENCE, uuid=uuid, type="task-started")

    # When its worker is killed, and another one begins it again
    first.kill()
    wait_until_overdue(witness, uuid)
    processes.worker("w2@host1", environ=VISIBILITY_TIMEOUT)
    wait_until(lambda: starts_of(witness, uuid)() == 2, PATIENCE, "it begins again")
    gate.touch()
    witness.wait_for(PATIENCE, uuid=uuid, type="task-succeeded")
    witness.wait_for_beats("w2@host1")
    assert monitor.stop() == 0

    # Then
    assert outcomes(cloudwatch) == {"TasksRedelivered": 1}
    assert (cloudwatch.sum("TasksStarted"), cloudwatch.sum("TasksSucceeded")) == (2, 1)


@on_redis
def test_a_task_that_outlasts_the_visibility_timeout_is_duplicated(
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: CloudWatch,
    tmp_path: Path,
) -> None:
    """It runs on two workers, and ends on both."""
    # Given a worker that runs one task at a time, and a task that it runs for too long
    monitor = processes.monitor("run")
    processes.worker("w1@host1", concurrency=1, environ=VISIBILITY_TIMEOUT)
    gate = tmp_path / "gate"
    uuid = client.tasks[LATE].delay(str(gate)).id
    wait_until_overdue(witness, uuid)

    # When it has begun on another one, too
    processes.worker("w2@host1", concurrency=1, environ=VISIBILITY_TIMEOUT)
    wait_until(lambda: starts_of(witness, uuid)() == 2, PATIENCE, "it begins again")
    gate.touch()
    wait_until(
        lambda: len(witness.events(uuid=uuid, type="task-succeeded")) >= 2, PATIENCE, "both end"
    )
    witness.wait_for_beats("w1@host1", "w2@host1")
    assert monitor.stop() == 0

    # Then each run after the first was a redelivery, and each end after the first a duplicate
    runs, ends = (
        len(witness.events(uuid=uuid, type=type_)) for type_ in ("task-started", "task-succeeded")
    )
    assert cloudwatch.sum("TasksRedelivered") == runs - 1
    assert cloudwatch.sum("TasksDuplicated") == ends - 1
    assert cloudwatch.sum("TasksSucceeded") == 1


def test_what_a_stopping_worker_hands_back_is_not_redelivered(
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: CloudWatch,
    tmp_path: Path,
) -> None:
    """It was received twice, and begins once."""
    # Given a worker that runs one task and has received three more
    monitor = processes.monitor("run")
    first = processes.worker("w1@host1", concurrency=1)
    gate = tmp_path / "gate"
    client.tasks["proj.hold"].delay(str(gate))
    waiting = [client.tasks["proj.succeed"].delay().id for _ in range(3)]
    for uuid in waiting:
        witness.wait_for(PATIENCE, uuid=uuid, type="task-received")

    # When it stops, and another takes them
    processes.worker("w2@host1", concurrency=1)
    first.send(15)
    gate.touch()
    wait_until(lambda: len(witness.events(type="task-succeeded")) >= 4, PATIENCE, "all have ended")
    witness.wait_for_beats("w2@host1")
    assert monitor.stop() == 0

    # Then
    assert outcomes(cloudwatch) == {}
    assert cloudwatch.sum("TasksSucceeded") == 4
