"""The broker is restarted, or is not there yet: the monitor waits, and loses nothing it knew."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from urllib.parse import urlsplit

import pytest
from celery import Celery

from ..support.endpoint import Endpoint
from ..support.processes import LISTENS, Process, Processes
from ..support.proxy import Proxy
from ..support.servers import Server
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import StartMonitor

SOON = 60  # seconds; only a broken monitor takes that long
AWAY = "is away"
LEARNT = "tasks in flight from the workers"


@pytest.mark.parametrize(
    ("broker", "way"),
    [("redis", "celery-events"), ("rabbitmq", "run")],
    indirect=["broker"],
)
def test_broker_is_restarted(
    way: str,
    broker: str,
    server: Callable[[str], Server],
    processes: Processes,
    start_monitor: StartMonitor,
    worker: SyntheticWorker,
    client: Celery,
    cloudwatch: Endpoint,
) -> None:
    """The outage shows, no worker is lost by it, and afterwards every task is counted again."""
    # Given a worker that would be lost after three silent seconds, and a real one that may be
    # silent for longer: it tries to connect again up to ten seconds later than we do
    monitor = start_monitor(way, worker_grace_seconds=3, worker_grace_beats=3)
    processes.worker("w2@real", concurrency=1, heartbeat_seconds=10)
    with worker.beating():
        client.tasks["proj.succeed"].delay()
        running = worker.start(7, name="proj.long")
        wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 1, SOON, "a task is counted")

    # When the broker is away for longer than that, and comes back
    name = "redis" if broker.startswith("redis") else "rabbitmq"
    server(name).stop()
    try:
        monitor.wait_for_output(AWAY)
        beats = cloudwatch.sum("MonitorHeartbeat")
        wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") >= beats + 4, SOON, "shots go on")
    finally:
        server(name).start()
    worker.connect()
    with worker.beating():
        monitor.wait_for_output(LISTENS, SOON, times=2)
        worker.succeed(running)
        for _ in range(5):
            client.tasks["proj.succeed"].delay()
        wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 13, SOON, "all are counted")
        beats = cloudwatch.sum("MonitorHeartbeat")
        wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") >= beats + 3, SOON, "shots go on")

    # Then the sums are the truth, and the running tasks were not forgotten
    assert monitor.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "TasksFailed") == {
        "TasksStarted": 13,
        "TasksSucceeded": 13,
        "TasksFailed": 0,
    }
    assert cloudwatch.sum("TasksSucceeded", TaskName="proj.long") == 7
    assert cloudwatch.counts("WorkersLost", "TasksOrphaned", "EventsLost") == {
        "WorkersLost": 0,
        "TasksOrphaned": 0,
        "EventsLost": 0,
    }
    assert connected(cloudwatch) == {0, 1}
    assert "WARNING" in line_with(AWAY, monitor.output)


@pytest.mark.parametrize(
    ("broker", "way"), [("redis", "run"), ("rabbitmq", "celery-events")], indirect=["broker"]
)
def test_broker_is_absent_at_the_start(
    way: str,
    proxy: Proxy,
    proxied: dict[str, str],
    start_monitor: StartMonitor,
    worker: SyntheticWorker,
    cloudwatch: Endpoint,
) -> None:
    """The monitor waits for it, and counts from the first event on."""
    # Given a monitor that finds no broker
    proxy.refuse()
    monitor = start_monitor(way, environ=proxied, until=AWAY)

    # When the broker comes up, and tasks run
    proxy.forward()
    monitor.wait_for_output(LISTENS)
    worker.run(40)

    # Then
    assert monitor.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded") == {
        "TasksStarted": 40,
        "TasksSucceeded": 40,
    }


@pytest.mark.parametrize(
    ("broker", "way"), [("redis", "run"), ("rabbitmq", "celery-events")], indirect=["broker"]
)
def test_broker_that_never_comes_is_no_reason_to_hang(
    way: str,
    proxy: Proxy,
    proxied: dict[str, str],
    start_monitor: StartMonitor,
    cloudwatch: Endpoint,
) -> None:
    """Without a broker it publishes that it is not connected, and shuts down gracefully."""
    # Given
    proxy.refuse()
    monitor = start_monitor(way, environ=proxied, until=AWAY)
    wait_until(lambda: cloudwatch.sum("MonitorHeartbeat"), SOON, "a shot")

    # When, then
    assert monitor.stop() == 0
    assert connected(cloudwatch) == {0}


def test_connection_that_died_without_being_closed(
    proxy: Proxy,
    proxied: dict[str, str],
    start_monitor: StartMonitor,
    worker: SyntheticWorker,
    cloudwatch: Endpoint,
) -> None:
    """A half-open connection is noticed in ten seconds, while shots go on, and replaced."""
    # Given a monitor and a worker, and a network between them that goes away without closing
    monitor = start_monitor(environ=proxied)
    worker.run(40)
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, SOON, "tasks are counted")
    beats = cloudwatch.sum("MonitorHeartbeat")
    proxy.freeze()

    # When, then it notices by itself
    monitor.wait_for_output(AWAY, 10 + 5)
    assert cloudwatch.sum("MonitorHeartbeat") >= beats + 4

    # And when the network is back, it counts again, and can talk to the workers
    proxy.forward()
    monitor.wait_for_output(LISTENS, SOON, times=2)
    worker.run(2)
    monitor.wait_for_output(LEARNT, SOON)
    assert monitor.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "WorkersLost") == {
        "TasksStarted": 42,
        "TasksSucceeded": 42,
        "WorkersLost": 0,
    }
    assert "WARNING" in line_with(AWAY, monitor.output)
    assert "INFO" in line_with(LISTENS, monitor.output)


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_server_that_stops_answering_while_we_connect(
    broker: str, start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """In the handshake, opening a channel or declaring the queue: we give up, and try again.

    RabbitMQ begins with some 500 bytes of its properties; each further answer has some twenty.
    """
    port = urlsplit(broker).port or 0
    with ExitStack() as stack:
        # Given a monitor for each, at the same time, since giving up takes seconds
        monitors: dict[int, tuple[Proxy, Process]] = {}
        for answer_bytes in (1, 500, 530, 550, 600):
            proxy = stack.enter_context(Proxy(port))
            proxy.freeze_after(answer_bytes)
            environ = {"BROKER_URL": broker.replace(f":{port}/", f":{proxy.port}/")}
            dimensions = f"Bytes={answer_bytes}"
            monitor = start_monitor(environ=environ, until=None, dimensions=dimensions)
            monitors[answer_bytes] = (proxy, monitor)

        # When each has given up, and its server answers
        for proxy, monitor in monitors.values():
            monitor.wait_for_output(AWAY)
            proxy.forward()
        for _, monitor in monitors.values():
            monitor.wait_for_output(LISTENS, SOON)
        worker.run(5)

        # Then each counts
        for answer_bytes, (_, monitor) in monitors.items():
            counted = partial(cloudwatch.sum, "TasksSucceeded", Bytes=str(answer_bytes))
            wait_until(counted, SOON, f"{answer_bytes}: tasks are counted")
            assert monitor.stop() == 0
            assert counted() == 5


def test_stop_while_the_server_does_not_answer(
    proxy: Proxy, proxied: dict[str, str], start_monitor: StartMonitor, cloudwatch: Endpoint
) -> None:
    """The attempt to connect is given up after five seconds, and no other is made."""
    proxy.freeze()
    monitor = start_monitor(environ=proxied, until=None)
    wait_until(lambda: cloudwatch.sum("MonitorHeartbeat"), SOON, "a shot")

    assert monitor.stop() == 0
    assert monitor.output.count("next try") <= 2


def connected(cloudwatch: Endpoint) -> set[float]:
    """Return every value that BrokerConnected had in a window."""
    return {datum.values[0] for datum in cloudwatch.series("BrokerConnected")}


def line_with(text: str, output: str) -> str:
    """Return the first line that contains the text."""
    return next(line for line in output.splitlines() if text in line)
