"""Event queue: events over SQS are counted once, whatever dies or is away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from event_monitor.errors import EXIT_UNSENT
from event_monitor.receiver.sqs_lease import SqsLease
from event_monitor.receiver.sqs_requests import SqsQueue

from ..support.cloudwatch import CloudWatch
from ..support.endpoint import Endpoint
from ..support.event_queue import QueueWorker, in_flight_in, make_queue, show_again, sqs_client
from ..support.processes import LISTENS, ROOT, Process, Processes
from ..support.proxy import Proxy
from ..support.spooled import is_sending
from ..support.waiting import wait_until

QUEUE = "celeryev"
LEASE = "celeryev-lease.fifo"
CREDENTIALS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
COUNTS = ("TasksReceived", "TasksStarted", "TasksSucceeded")
LOSSES = ("EventsLost", "EventsInvalid", "EventsDropped", "WorkersLost", "TasksOrphaned")
APP = """\
import os
from celery import Celery
from event_monitor.over_sqs.configuration import EventQueue, remember_event_queue

app = Celery("shop", broker=os.environ["BROKER_URL"])
app.conf.broker_transport_options = {"region": "us-east-1", "is_secure": False}
remember_event_queue(app, EventQueue())
"""
Start = Callable[..., Process]


@pytest.fixture(scope="module")
def sqs() -> Iterator[str]:
    """Return the URL of an SQS on moto."""
    moto = CloudWatch()
    yield moto.url
    moto.stop()


@pytest.fixture
def broker(sqs: str) -> str:
    """Return the broker's URL: SQS as well."""
    return f"sqs://testing:testing@{urlsplit(sqs).netloc}"


@pytest.fixture
def client(sqs: str) -> Iterator[Any]:
    """Return boto3's client; the queue is gone after the test."""
    client = sqs_client(sqs)
    yield client
    for url in client.list_queues().get("QueueUrls", ()):
        client.delete_queue(QueueUrl=url)
    client.close()


@pytest.fixture
def send(client: Any) -> Callable[[str], object]:
    """Return what sends a message to the event queue, which is there."""
    url = make_queue(client, QUEUE)
    return lambda body: client.send_message(QueueUrl=url, MessageBody=body)


@pytest.fixture
def start(processes: Processes, tmp_path: Path) -> Start:
    """Return a function that starts a monitor with an interval of one second."""
    (tmp_path / "shop.py").write_text(APP)

    def start(
        *command: str, until: str = LISTENS, environ: dict[str, str] | None = None, **settings: str
    ) -> Process:
        variables = {
            "PYTHONPATH": f"{tmp_path}:{ROOT}",
            "EVENT_MONITOR_INTERVAL": "1",
            "EVENT_MONITOR_PROBE_QUEUES": "false",
            **{f"EVENT_MONITOR_{name.upper()}": value for name, value in settings.items()},
            **(environ or {}),
        }
        process = processes.start([*(command or ("event-monitor", "run", "-A", "shop"))], variables)
        process.wait_for_output(until)
        return process

    return start


@contextmanager
def load(worker: QueueWorker) -> Iterator[None]:
    """Run tasks all the while, some of them longer than a window."""
    stop = threading.Event()

    def work() -> None:
        long: list[str] = []
        while not stop.wait(0.05):
            worker.run(20)
            long += worker.start(1)
            if len(long) > 30:
                worker.succeed(long)
                long = []
            worker.worker_event()
        worker.succeed(long)
        worker.worker_event()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def held_between_sends(monitor: Process, state_dir: Path) -> bool:
    """Hold the monitor, unless it is sending; return whether it is held."""
    monitor.send(signal.SIGSTOP)
    if is_sending(state_dir):
        monitor.send(signal.SIGCONT)
        return False
    return True


def wait_for_truth(cloudwatch: Endpoint, worker: QueueWorker) -> None:
    """Wait until all is counted; then each task is, once, and nobody seems dead.

    Meanwhile messages are shown again, and not in three minutes: moto hands some to requests that
    a dead monitor has left, or that were cut off.
    """

    def is_counted() -> bool:
        show_again(in_flight_in(QUEUE))
        return cloudwatch.sum("TasksSucceeded") >= worker.processed

    wait_until(is_counted, 60, "all have been counted", poll_seconds=1.0)
    assert cloudwatch.counts(*COUNTS) == dict.fromkeys(COUNTS, worker.processed)
    assert cloudwatch.counts(*LOSSES) == dict.fromkeys(LOSSES, 0)


def test_a_monitor_that_is_killed_in_a_window_has_counted_nothing_twice_or_never(
    send: Callable[[str], object], start: Start, cloudwatch: Endpoint, tmp_path: Path
) -> None:
    """What it had not deleted comes again, behind newer messages of the same worker."""
    # Given a monitor under load
    state_dir = tmp_path / "state"
    worker = QueueWorker(send)
    monitor = start(state_dir=str(state_dir))
    with load(worker):
        wait_until(lambda: cloudwatch.sum("TasksSucceeded") > 200, 60, "it counts")

        # When it is killed, and the next one gets newer messages before SQS shows the old ones
        wait_until(lambda: held_between_sends(monitor, state_dir), 60, "it sends nothing")
        monitor.kill()
        left_behind = in_flight_in(QUEUE)
        monitor = start(state_dir=str(state_dir))
        received = len(in_flight_in(QUEUE))
        wait_until(lambda: len(in_flight_in(QUEUE)) > received, 60, "it receives newer ones")
        show_again(left_behind)

    # Then
    assert left_behind
    wait_for_truth(cloudwatch, worker)
    assert monitor.stop() == 0
    assert in_flight_in(QUEUE) == []


def test_without_a_disk_sqs_keeps_what_cloudwatch_has_not_got(
    send: Callable[[str], object], start: Start, cloudwatch: Endpoint
) -> None:
    """It stops while CloudWatch is away; the next one counts the same messages."""
    # Given a CloudWatch that is away
    cloudwatch.misbehave("throttle")
    worker = QueueWorker(send)
    worker.run(50)
    worker.worker_event()
    monitor = start(drain_seconds="0.1")
    wait_until(lambda: len(in_flight_in(QUEUE)) == worker.sent, 60, "it has received all")
    assert monitor.stop() == EXIT_UNSENT
    assert in_flight_in(QUEUE) == []  # given back, not kept for three minutes
    worker.run(50)
    worker.worker_event()

    # When
    cloudwatch.behave()
    monitor = start()

    # Then
    wait_for_truth(cloudwatch, worker)
    assert monitor.stop() == 0
    assert in_flight_in(QUEUE) == []


def test_a_queue_that_comes_late_and_an_sqs_that_is_away_are_waited_for(
    client: Any, sqs: str, start: Start, cloudwatch: Endpoint, tmp_path: Path
) -> None:
    """Under ``celery events``. It says so, tries again, and judges nobody meanwhile."""
    with Proxy(urlsplit(sqs).port or 0) as proxy:
        # Given a queue that is made after the monitor has started
        command = ("celery", "-A", "shop", "events", "-c", "event_monitor.CloudWatchCam")
        monitor = start(
            *command,
            until="refuses us",
            environ={"BROKER_URL": f"sqs://testing:testing@127.0.0.1:{proxy.port}"},
            worker_grace_seconds="5",
            state_dir=str(tmp_path / "state"),
        )
        url = make_queue(client, QUEUE)
        worker = QueueWorker(lambda body: client.send_message(QueueUrl=url, MessageBody=body))
        worker.run(50)
        worker.worker_event()
        wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 50, 60, "they are counted")

        # When SQS is away, and the worker goes on
        proxy.refuse()
        worker.run(50)
        worker.worker_event()
        monitor.wait_for_output("is away")
        proxy.forward()

        # Then
        wait_for_truth(cloudwatch, worker)
        assert monitor.output.count("refuses us") == 1
        assert monitor.stop() == 0


def test_one_of_two_has_the_lease_and_the_other_gets_it(client: Any, sqs: str) -> None:
    """When the first leaves, and when it dies."""
    # Given two monitors, and a queue for the lease
    make_queue(client, LEASE)
    queues = [SqsQueue(LEASE, CREDENTIALS | {"endpoint_url": sqs}) for _ in range(2)]
    leases = [SqsLease(), SqsLease()]
    for lease, queue in zip(leases, queues, strict=True):
        queue.open()
        lease.turn(queue)

    def holders() -> list[bool]:
        for lease, queue in zip(leases, queues, strict=True):
            lease.turn(queue)
        return [lease.is_held for lease in leases]

    # Then
    assert holders() == [True, False]
    leases[0].release(queues[0])
    leases[1].turn(queues[1])
    assert holders() == [False, True]

    # When the second dies, and SQS shows its message again
    show_again(in_flight_in(LEASE))
    leases[0].turn(queues[0])
    assert leases[0].is_held
