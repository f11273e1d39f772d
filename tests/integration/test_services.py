"""Services: two of them on one broker, each with a monitor and a namespace of its own."""

from __future__ import annotations

import signal

import pytest
from celery import Celery

from event_monitor.settings import Settings
from event_monitor.status.ask import take_report
from event_monitor.status.report import Report

from ..support.cloudwatch import CloudWatch
from ..support.processes import LISTENS, PROJECT, Processes
from ..support.proj import RETRIES
from ..support.waiting import wait_until
from ..support.witness import Witness

PATIENCE = 60
SCRIPT = {
    "shop": {"succeed": 7, "fail": 2, "retry_then_succeed": 1},
    "mail": {"succeed": 4, "fail": 3, "retry_then_succeed": 2},
}
TRUTH = {
    "shop": {"TasksSucceeded": 8, "TasksFailed": 2, "TasksRetried": RETRIES, "TasksSent": 14},
    "mail": {"TasksSucceeded": 6, "TasksFailed": 3, "TasksRetried": 2 * RETRIES, "TasksSent": 13},
}


def of_queues(cloudwatch: CloudWatch, metric: str, *, namespace: str) -> set[str]:
    """Return the queues that have a series of that metric."""
    series = cloudwatch.series(metric, namespace=namespace)
    return {value for dimensions in series for name, value in dimensions if name == "QueueName"}


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_each_namespace_holds_its_own_service_exactly(
    processes: Processes, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Tasks of the same names: what tells them apart are queues and workers."""
    # Given a worker of each service, and two tasks of one that nobody takes
    workers = {
        service: processes.worker(f"{service}@host1", queues=(service,), wait=False)
        for service in SCRIPT
    }
    monitors = {
        service: processes.start(
            ["event-monitor", "run", "-A", PROJECT, "--interval", "2"],
            {
                "EVENT_MONITOR_NAMESPACE": service,
                "EVENT_MONITOR_ONLY_QUEUES": f"{service}*",
                "EVENT_MONITOR_PROBE_SECONDS": "1",
                "EVENT_MONITOR_QUEUES": "shop-later,mail-later",
                "EVENT_MONITOR_BY_WORKER": "WorkersOnline,TasksSucceeded,EventsLost",
            },
        )
        for service in SCRIPT
    }
    for service, worker in workers.items():
        worker.wait_for_output(f"{service}@host1 ready.")
        monitors[service].wait_for_output(LISTENS)
    for _ in range(2):
        client.tasks["proj.succeed"].apply_async(queue="shop-later")
    wait_until(
        lambda: all(cloudwatch.last("WorkersOnline", namespace=service) for service in SCRIPT),
        PATIENCE,
        "each monitor knows which worker is its own",
    )

    # When both work, and then the worker of one is gone
    for service, tasks in SCRIPT.items():
        for name, times in tasks.items():
            for _ in range(times):
                client.tasks[f"proj.{name}"].apply_async(queue=service)
    wait_until(
        lambda: (
            len(witness.events(type="task-succeeded")) >= 14
            and len(witness.events(type="task-failed")) >= 5
        ),
        PATIENCE,
        "all have ended",
    )
    settings = Settings(only_queues=("shop*",), probe_seconds=5.0)

    def report_of_shop() -> Report | None:
        report = take_report(client, settings)  # without a worker that is slow to answer
        return report if report.workers else None

    report = wait_until(report_of_shop, PATIENCE, "the worker answers")
    assert report is not None
    workers["mail"].send(signal.SIGTERM)
    wait_until(
        lambda: cloudwatch.last("WorkersOffline", namespace="mail") == 1, PATIENCE, "one is offline"
    )
    for monitor in monitors.values():
        monitor.send(signal.SIGTERM)
    assert [monitor.wait() for monitor in monitors.values()] == [0, 0]

    # Then each has what is its own, and no more; so has a report
    assert [worker.hostname for worker in report.workers or ()] == ["shop@host1"]
    assert [queue.name for queue in report.queues or ()] == ["shop", "shop-later"]
    assert {
        service: {name: cloudwatch.sum(name, namespace=service) for name in truth}
        for service, truth in TRUTH.items()
    } == TRUTH
    for service in SCRIPT:
        assert of_queues(cloudwatch, "QueueLength", namespace=service) == {
            service,
            f"{service}-later",
        }
        by_worker = cloudwatch.series("WorkersOnline", namespace=service)
        assert set(by_worker) == {(), (("WorkerName", f"{service}@host1"),)}
        assert max(cloudwatch.values("WorkersOnline", namespace=service)) == 1
        # What is about the monitor is whole
        assert cloudwatch.sum("EventsLost", namespace=service) == 0
        assert cloudwatch.sum("EventsReceived", namespace=service) > sum(
            map(sum, (tasks.values() for tasks in SCRIPT.values()))
        )
    assert cloudwatch.last("QueueLength", namespace="shop") == 2
    assert cloudwatch.last("QueueLength", namespace="mail") == 0
    assert cloudwatch.last("WorkersOnline", namespace="shop") == 1
    assert cloudwatch.last("WorkersOffline", namespace="shop") == 0
