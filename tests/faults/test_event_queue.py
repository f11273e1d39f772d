"""Event queue: events over SQS are counted once, whatever dies or is away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import Celery
from moto.sqs.models import SQSBackend

from event_monitor.errors import EXIT_UNSENT
from event_monitor.receiver.sqs_lease import SqsLease
from event_monitor.receiver.sqs_requests import SqsQueue

from ..support.cloudwatch import REGION, CloudWatch
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
REAL_APP = """\
import os
from celery import Celery
from event_monitor import send_events_over_sqs

app = Celery("real", broker=os.environ["BROKER_URL"])
app.conf.broker_transport_options = {
    "region": "us-east-1", "is_secure": False, "wait_time_seconds": 1, "polling_interval": 0.1
}
app.IS_WINDOWS = True  # a worker without kombu's event loop needs no pycurl
send_events_over_sqs(app, flush_seconds=1, beat_seconds=2)

@app.task
def add():
    return 1

@app.task
def fail():
    raise ValueError("secret")
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
    """Hold the monitor, unless it is sending or has deleted all it got; return whether it is."""
    monitor.hold()
    if is_sending(state_dir) or not in_flight_in(QUEUE):
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
    assert cloudwatch.sum("PublishAmbiguous") == 0
    assert monitor.stop() == 0
    assert in_flight_in(QUEUE) == []


def test_who_takes_over_says_what_another_monitor_may_have_counted(
    send: Callable[[str], object], start: Start, cloudwatch: Endpoint
) -> None:
    """It was killed with messages that it had not deleted, and left no disk to look at."""
    # Given one that can publish nothing: it deletes nothing, whenever its minute ends
    cloudwatch.misbehave("throttle")
    worker = QueueWorker(send)
    worker.run(50)
    worker.worker_event()
    monitor = start(interval="60")
    wait_until(lambda: len(in_flight_in(QUEUE)) == worker.sent, 60, "it has received all")
    monitor.kill()
    cloudwatch.behave()
    left_behind = in_flight_in(QUEUE)

    # When another one gets them, three minutes later
    monitor = start()
    for message in left_behind:
        message.approximate_first_receive_timestamp -= 180_000
    show_again(left_behind)

    # Then
    wait_for_truth(cloudwatch, worker)
    assert cloudwatch.sum("PublishAmbiguous") >= 1
    assert "were with a monitor that has gone" in monitor.output
    assert monitor.stop() == 0


def test_without_a_disk_sqs_keeps_what_cloudwatch_has_not_got(
    client: Any,
    send: Callable[[str], object],
    start: Start,
    cloudwatch: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A monitor that stops while CloudWatch is away gives the messages back: the next counts."""
    # Given an SQS where no request waits: one that a monitor has left would get them again
    receive = SQSBackend.receive_message
    monkeypatch.setattr(
        SQSBackend,
        "receive_message",
        lambda sqs, name, most, _seconds, *options: receive(sqs, name, most, 0, *options),
    )
    cloudwatch.misbehave("throttle")
    worker = QueueWorker(send)
    worker.run(50)
    worker.worker_event()

    # When
    monitor = start(drain_seconds="0.1")
    wait_until(lambda: len(in_flight_in(QUEUE)) == worker.sent, 60, "it has received all")
    assert monitor.stop() == EXIT_UNSENT

    # Then
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    assert len(found["Messages"]) == worker.sent


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


def test_a_line_in_the_app_is_all_that_a_worker_on_sqs_needs(
    client: Any,
    sqs: str,
    broker: str,
    processes: Processes,
    start: Start,
    cloudwatch: Endpoint,
    tmp_path: Path,
) -> None:
    """A monitor of ``celery events`` waits for a queue that comes late, and for SQS to be back."""
    # Given a monitor that is there before the queue is, and then a real worker
    (tmp_path / "real.py").write_text(REAL_APP)
    with Proxy(urlsplit(sqs).port or 0) as proxy:
        monitor = start(
            *("celery", "-A", "real", "events", "-c", "event_monitor.CloudWatchCam"),
            until="refuses us",
            environ={"BROKER_URL": f"sqs://testing:testing@127.0.0.1:{proxy.port}"},
        )
        for name in ("celery", QUEUE):
            make_queue(client, name)
        worker = processes.start(
            ["celery", "-A", "real", "worker", "-E", "--pool", "solo", "--loglevel", "INFO"],
            {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        )
        app = Celery("producer", broker=broker, set_as_current=False)
        app.conf.broker_transport_options = {"region": REGION, "is_secure": False}
        monitor.wait_for_output(LISTENS)
        for task in ["real.add"] * 20 + ["real.fail"] * 4:
            app.send_task(task)
        wait_until(lambda: cloudwatch.sum("TasksFailed") == 4, 60, "all are counted")

        # When SQS is away from the monitor, and the worker does one more, and leaves
        proxy.refuse()
        app.send_task("real.fail")
        app.close()
        monitor.wait_for_output("is away")
        worker.wait_for_output("real.fail", times=10)  # received, raised
        assert worker.stop() == 0
        proxy.forward()

        # Then all is counted, and no queue was made
        def is_counted() -> bool:
            show_again(in_flight_in(QUEUE))  # what a request got that was cut off
            return cloudwatch.sum("TasksFailed") == 5 and "has shut down" in monitor.output

        wait_until(is_counted, 60, "all are counted", poll_seconds=1.0)
        assert monitor.stop() == 0
    assert cloudwatch.counts(*COUNTS, "TasksFailed") == {
        "TasksReceived": 25,
        "TasksStarted": 25,
        "TasksSucceeded": 20,
        "TasksFailed": 5,
    }
    assert cloudwatch.counts(*LOSSES) == dict.fromkeys(LOSSES, 0)
    assert monitor.output.count("refuses us") == 1
    urls = client.list_queues()["QueueUrls"]
    assert sorted(url.rpartition("/")[2] for url in urls) == ["celery", QUEUE]


def test_without_the_app_a_broker_and_the_queue_are_enough(
    send: Callable[[str], object], broker: str, start: Start, cloudwatch: Endpoint
) -> None:
    """As in a container that has none of the project's code."""
    # Given
    worker = QueueWorker(send)
    worker.run(50)
    worker.worker_event()

    # When
    monitor = start(
        *("event-monitor", "run"),
        *("--transport-option", "region=us-east-1", "--transport-option", "is_secure=false"),
        environ={"EVENT_MONITOR_BROKER": broker, "EVENT_MONITOR_EVENT_QUEUE": QUEUE},
    )

    # Then
    wait_for_truth(cloudwatch, worker)
    assert monitor.stop() == 0
    assert "is no setting" not in monitor.output


def test_real_workers_whose_clocks_are_an_hour_off_count_as_any(
    client: Any,
    broker: str,
    processes: Processes,
    start: Start,
    cloudwatch: Endpoint,
    tmp_path: Path,
) -> None:
    """Nobody is dead, and a goodbye is one. (Celery's timer does not run under libfaketime.)"""
    # Given one that is ahead, and one that is behind
    (tmp_path / "real.py").write_text(REAL_APP)
    make_queue(client, QUEUE)
    monitor = start(
        *("event-monitor", "run", "-A", "real"),
        environ={"BROKER_URL": broker},
        worker_grace_seconds="5",
    )
    workers = []
    for name, seconds_off in {"ahead": 3_600, "behind": -3_600}.items():
        make_queue(client, name)
        (tmp_path / name).mkdir()
        (tmp_path / name / "sitecustomize.py").write_text(
            f"import time\nright = time.time\ntime.time = lambda: right() + {seconds_off}\n"
        )
        command = ["celery", "-A", "real", "worker", "-E", "--pool", "solo", "--loglevel", "INFO"]
        worker = processes.start(
            [*command, "-n", f"{name}@host", "-Q", name],
            {"PYTHONPATH": f"{tmp_path}/{name}:{tmp_path}:{ROOT}", "BROKER_URL": broker},
        )
        workers.append(worker)
    for worker in workers:
        worker.wait_for_output("ready")

    # When they work, and beat for thrice their grace
    app = Celery("producer", broker=broker, set_as_current=False)
    app.conf.broker_transport_options = {"region": REGION, "is_secure": False}
    for queue in ["ahead", "behind"] * 20:
        app.send_task("real.add", queue=queue)
    app.close()
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, 60, "all are counted")
    for worker in workers:
        worker.wait_for_output("succeeded in", times=20)
    known = partial(cloudwatch.nonzero, "WorkersOnline")
    wait_until(lambda: any(2 in datum.values for datum in known()), 60, "they are known")
    shots = cloudwatch.sum("MonitorHeartbeat")
    wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") >= shots + 15, 60, "time passes")
    assert [worker.stop() for worker in workers] == [0, 0]
    monitor.wait_for_output("has shut down", times=2)

    # Then
    assert monitor.stop() == 0
    assert cloudwatch.counts(*COUNTS) == dict.fromkeys(COUNTS, 40)
    assert cloudwatch.counts(*LOSSES) == dict.fromkeys(LOSSES, 0)
