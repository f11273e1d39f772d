"""By queue: counts, times and service levels of each queue, as real workers and brokers have it."""

from __future__ import annotations

import signal

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.processes import Processes
from ..support.proj import RETRIES
from ..support.waiting import wait_until
from ..support.witness import Witness

PATIENCE = 60
BY_QUEUE = {
    "EVENT_MONITOR_PROBE_SECONDS": "2",
    "EVENT_MONITOR_BY_QUEUE": "TasksSent,TasksSucceeded,TasksFailed,TasksRetried,TaskRuntime",
    "EVENT_MONITOR_BY_TASK_AND_EXCEPTION": "true",
    "EVENT_MONITOR_SLO": "queue fast: 90 % start in 60 s, proj.fail: 60 % succeed, "
    "queue slow: 50 % succeed",
}


def by_queue(cloudwatch: CloudWatch, metric: str) -> dict[str, float]:
    """Return the sums that are not zero."""
    queues = ("fast", "slow", "celery", "unknown", "other")
    sums = {queue: cloudwatch.sum(metric, QueueName=queue) for queue in queues}
    return {queue: found for queue, found in sums.items() if found}


@pytest.mark.parametrize("sends_sent", [True, False], ids=["task-sent", "no-task-sent"])
def test_counts_and_service_levels_of_queues_are_what_the_script_did(
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: CloudWatch,
    *,
    sends_sent: bool,
) -> None:
    """One worker reads one queue, and one reads two: there only the producer can tell."""
    # Given
    client.conf.task_send_sent_event = sends_sent
    monitor = processes.monitor("run", environ=BY_QUEUE)
    slow = ("slow", "celery") if sends_sent else ("slow",)
    workers = {
        "w1@host1": processes.worker("w1@host1", queues=("fast",), wait=False),
        "w2@host1": processes.worker(
            "w2@host1", queues=slow, environ={"SEND_SENT_EVENT": str(int(sends_sent))}, wait=False
        ),
    }
    for name, worker in workers.items():
        worker.wait_for_output(f"{name} ready.")
    answered = "the monitor knows which queues the workers read"
    wait_until(lambda: (cloudwatch.last("QueueConsumers") or 0) >= 2, PATIENCE, answered)

    # When
    script = {
        "fast": {"succeed": 5, "fail": 2},
        "slow": {"succeed": 3, "fail": 1, "retry_then_succeed": 2, "exhaust": 1},
    }
    for worker in workers.values():  # else a task may be over before the producer tells of it
        worker.hold()
    for queue, tasks in script.items():
        for name, times in tasks.items():
            for _ in range(times):
                client.tasks[f"proj.{name}"].apply_async(queue=queue)
    if sends_sent:
        wait_until(lambda: cloudwatch.sum("TasksSent") == 14, PATIENCE, "all are known as sent")
    for worker in workers.values():
        worker.send(signal.SIGCONT)
    wait_until(
        lambda: (
            len(witness.events(type="task-succeeded")) >= 10
            and len(witness.events(type="task-failed")) >= 4
        ),
        PATIENCE,
        "all have ended",
    )
    assert monitor.stop() == 0

    # Then every queue has its own, and the service levels count what they are about
    assert by_queue(cloudwatch, "TasksSucceeded") == {"fast": 5, "slow": 5}
    assert by_queue(cloudwatch, "TasksFailed") == {"fast": 2, "slow": 2}
    assert by_queue(cloudwatch, "TasksRetried") == {"slow": 3 * RETRIES}
    assert by_queue(cloudwatch, "TasksSent") == (
        {"fast": 7, "slow": 7 + 3 * RETRIES} if sends_sent else {}
    )
    assert cloudwatch.count("TaskRuntime", QueueName="slow") == 5
    assert {
        name: (cloudwatch.sum("SloGood", SloName=name), cloudwatch.sum("SloTotal", SloName=name))
        for name in ("queue fast start", "proj.fail succeed", "queue slow succeed")
    } == {
        "queue fast start": (7, 7),
        "proj.fail succeed": (0, 3),
        "queue slow succeed": (5, 7),
    }
    assert cloudwatch.last("SloBudgetLeft", SloName="proj.fail succeed") == -150.0
    # And exceptions are told by task, those of retries too
    retried = cloudwatch.sum("TasksRetried", TaskName="proj.exhaust", ExceptionType="ValueError")
    failed = cloudwatch.sum("TasksFailed", TaskName="proj.exhaust", ExceptionType="ValueError")
    assert (retried, failed) == (RETRIES, 1)
