"""Goodbye: a worker that said it is final, and the tasks it still runs go on."""

from __future__ import annotations

import importlib.util
import signal
from contextlib import suppress

import pytest

from ..support.cloudwatch import CloudWatch
from ..support.processes import require_containers
from ..support.servers import missing
from ..support.verdicts import SOON, Verdicts, lines_with, stopwatch
from ..support.waiting import wait_until
from ..support.witness import Witness

DRAIN_SECONDS = 6
POOLS = ("prefork", "threads", "gevent")

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


def test_the_tasks_of_stopped_workers_go_on(
    verdicts: Verdicts, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Longer than the grace: nothing is lost or orphaned; gevent even beats all the while."""
    # Given a worker of each pool, which runs a long task
    if importlib.util.find_spec("gevent") is None:
        missing("gevent")
    monitor = verdicts.monitor()
    workers = verdicts.workers(*(f"{pool}@host1" for pool in POOLS))
    tasks = {name: verdicts.hold(on=name) for name in workers}
    verdicts.wait_for_last("WorkersOnline", len(workers))

    # When they are stopped
    for name, worker in workers.items():
        worker.send(signal.SIGTERM)
        witness.wait_for(SOON, type="worker-offline", hostname=name)

    # Then they are gone, and their tasks are still running
    verdicts.wait_for_last("WorkersOnline", 0)
    verdicts.outlast_the_grace()
    verdicts.wait_for_last("TasksRunning", len(tasks))
    verdicts.wait_for_last("TasksDraining", len(tasks))

    # And the ends of these are counted
    verdicts.release()
    assert [worker.wait() for worker in workers.values()] == [0, 0, 0]
    verdicts.wait_for_sum("TasksSucceeded", len(tasks))
    verdicts.wait_for_last("TasksDraining", 0)
    assert monitor.stop() == 0
    assert verdicts.found == {}
    assert cloudwatch.last("WorkersOnline") == 0
    assert cloudwatch.last("WorkersOffline") == len(workers)
    assert cloudwatch.last("TasksRunning") == 0
    for name, uuid in tasks.items():
        assert len(lines_with(monitor, uuid, name)) == 1, "its goodbye names the task"


def test_a_kill_after_the_goodbye_leaves_orphans_at_the_limit(
    verdicts: Verdicts, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Only then: nobody but the limit can tell. The worker itself is not lost."""
    # Given
    monitor = verdicts.monitor(worker_drain_seconds=DRAIN_SECONDS)
    worker = verdicts.worker("w1@host1")
    verdicts.begin(600, on="w1@host1")
    verdicts.wait_for_last("TasksRunning", 1)

    # When
    seconds = stopwatch()
    worker.send(signal.SIGTERM)
    witness.wait_for(SOON, type="worker-offline", hostname="w1@host1")
    worker.kill()
    verdicts.wait_for_last("TasksDraining", 1)
    verdicts.wait_for_sum("TasksOrphaned", 1, seconds=DRAIN_SECONDS + SOON)

    # Then
    assert seconds() >= DRAIN_SECONDS
    verdicts.wait_for_last("TasksDraining", 0)
    assert monitor.stop() == 0
    assert verdicts.found == {"TasksOrphaned": {"w1@host1": 1}}
    assert cloudwatch.last("TasksRunning") == 0


def send_until_one_succeeds(verdicts: Verdicts, witness: Witness, *, to: str) -> int:
    """Return how many tasks were sent.

    A worker that shuts down may still get the answer to its last request of the broker: that task
    waits in it until its own last one has ended.
    """
    uuids: list[str] = []

    def succeeded() -> bool:
        return any(witness.events(uuid=uuid, type="task-succeeded") for uuid in uuids)

    while not succeeded():
        assert len(uuids) < 5
        uuids.append(verdicts.send("succeed", to=to))
        with suppress(AssertionError):
            wait_until(succeeded, 15, "one succeeds")
    return len(uuids)


def test_a_new_worker_of_the_name_orphans_nothing_of_the_old(
    verdicts: Verdicts, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """While the old one drains, longer than the grace, the new one works and beats."""
    # Given a worker whose every process is pid 1, and one with pids of their own
    require_containers()
    names = ("w1@container", "w1@host")
    monitor = verdicts.monitor()
    old = verdicts.workers(*names)
    long = {name: verdicts.hold(on=name) for name in names}

    # When the old ones are stopped and new ones take their names
    for name, worker in old.items():
        worker.send(signal.SIGTERM)
        witness.wait_for(SOON, type="worker-offline", hostname=name)
    verdicts.workers(*names)
    sent = sum(send_until_one_succeeds(verdicts, witness, to=name) for name in names)
    verdicts.wait_for_sum("TasksSucceeded", len(names))
    verdicts.outlast_the_grace()
    for uuid in long.values():
        assert witness.events(uuid=uuid, type="task-succeeded") == [], "it still runs"
    verdicts.release()
    assert [worker.wait() for worker in old.values()] == [0, 0]
    verdicts.wait_for_sum("TasksSucceeded", len(names) + sent, seconds=60)

    # Then
    assert monitor.stop() == 0
    assert verdicts.found == {}
    assert cloudwatch.sum("TasksSucceeded") == len(names) + sent
    assert cloudwatch.last("WorkersOnline") == 2
    assert cloudwatch.last("TasksRunning") == 0
