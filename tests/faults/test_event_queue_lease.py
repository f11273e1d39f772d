"""Event queue, and its lease: whoever may read it, each event is counted once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from celery import Celery

from event_monitor.camera import Camera
from event_monitor.over_sqs.configuration import EventQueue, remember_event_queue
from event_monitor.pipeline import Pipeline
from event_monitor.publisher import Publisher, Spool
from event_monitor.publisher.snapshot_consumer import SnapshotPublisher
from event_monitor.receiver.exactly_once import ExactlyOnce
from event_monitor.receiver.sqs_lease import SqsLease, lease_name
from event_monitor.receiver.sqs_requests import SqsQueue
from event_monitor.receiver.sqs_stream import VISIBILITY_SECONDS
from event_monitor.settings import Settings
from event_monitor.snapshot import BrokerLink
from event_monitor.state import State
from event_monitor.testing import FakeClock, MemorySink

from ..support.cloudwatch import CloudWatch
from ..support.event_queue import QueueWorker, in_flight_in, make_queue, show_again, sqs_client
from ..support.waiting import wait_until

QUEUE = "leased-events"
SETTINGS = Settings(probe_workers=False, probe_queues=False)


@pytest.fixture
def sqs() -> Iterator[str]:
    """Return the URL of an SQS on moto, with the event queue and that of the lease."""
    moto = CloudWatch()
    client = sqs_client(moto.url)
    urls = [make_queue(client, name) for name in (QUEUE, lease_name(QUEUE))]
    yield moto.url
    for url in urls:
        client.delete_queue(QueueUrl=url)
    client.close()
    moto.stop()


class Monitor:
    """One that reads, and publishes when a test says so, on a clock that a test advances."""

    def __init__(self, sqs: str) -> None:
        self.clock, self.sink = FakeClock(), MemorySink()
        queue = EventQueue(name=QUEUE)
        app = Celery(
            "leased", broker=f"sqs://testing:testing@{urlsplit(sqs).netloc}", set_as_current=False
        )
        app.conf.broker_transport_options = {"region": "us-east-1", "is_secure": False}
        remember_event_queue(app, queue)
        self.state = State(SETTINGS, clock=self.clock)
        exactly_once = ExactlyOnce(SETTINGS, queue)
        assert exactly_once.sqs is not None
        self.lease = SqsLease(clock=self.clock)
        exactly_once.sqs = replace(exactly_once.sqs, lease=self.lease)
        self.pipeline = Pipeline(
            app,
            SETTINGS,
            self.state,
            hurry=lambda: None,
            before_leaving=self._leave,
            exactly_once=exactly_once,
            clock=self.clock,
        )
        self.spool = Spool()
        self.spool.open()
        self.publisher = Publisher(
            self.sink,
            self.spool,
            clock=self.clock,
            on_accepted=lambda *_: publishing.note_accepted(),
        )
        publishing = SnapshotPublisher(
            self.publisher,
            SETTINGS,
            acknowledge=self.pipeline.acknowledge,
            is_ours=exactly_once.is_ours,
            discard=exactly_once.discard,
        )
        self.camera = Camera(
            self.state,
            settings=SETTINGS,
            clock=self.clock,
            complete=self.pipeline.complete,
            consumers=(publishing,),
        )
        receiver = self.pipeline.receiver_class()(app.connection_for_read(), app=app)
        self._thread = threading.Thread(target=receiver.capture, daemon=True)

    def __enter__(self) -> Monitor:
        self.publisher.start()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.pipeline.stop()
        self._thread.join(30)
        self.spool.close()

    def _leave(self) -> None:
        """Publish the last window, and have it accepted, while its messages can be deleted."""
        self.camera.cut()
        self.publisher.close(deadline_seconds=10)

    def wait_for(self, link: BrokerLink) -> None:
        """Wait for that link, while the time passes for the lease's next turns."""

        def has_it() -> bool:
            self.clock.advance(5.0)
            return self.state.link is link

        wait_until(has_it, 90, f"it is {link.value}", poll_seconds=0.2)


class Other:
    """Another monitor, which reads nothing."""

    def __init__(self, sqs: str) -> None:
        self.lease = SqsLease()
        self.queue = SqsQueue(
            lease_name(QUEUE),
            {
                "aws_access_key_id": "testing",
                "aws_secret_access_key": "testing",
                "endpoint_url": sqs,
            },
        )
        self.queue.open()

    def take_lease(self) -> None:
        """Get it, as if its holder had not renewed it for long, so that its handle is too old."""
        held = in_flight_in(lease_name(QUEUE))
        self.queue.delete([message.receipt_handle for message in held])
        self.lease.turn(self.queue)
        assert self.lease.is_held

    def leave(self) -> None:
        """Give it back."""
        self.lease.release(self.queue)


@pytest.fixture
def other(sqs: str) -> Iterator[Other]:
    """Return another monitor, as far as the lease knows."""
    other = Other(sqs)
    yield other
    other.queue.close()


@pytest.fixture
def worker(sqs: str) -> Iterator[QueueWorker]:
    """Return a worker that has done 50 tasks, and sent their events."""
    client = sqs_client(sqs)
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    worker = QueueWorker(lambda body: client.send_message(QueueUrl=url, MessageBody=body))
    worker.run(50)
    worker.worker_event()
    yield worker
    client.close()


def wait_until_counted(monitor: Monitor, worker: QueueWorker) -> None:
    """Wait until all events of the worker's tasks, and its two own, have come."""
    wait_until(lambda: monitor.state.event_count == 3 * worker.processed + 2, 60, "all have come")


def test_a_window_at_whose_end_the_lease_is_lost_counts(
    sqs: str, worker: QueueWorker, other: Other
) -> None:
    """Nobody else gets its messages: they are out of sight, and deleted before they are not."""
    with Monitor(sqs) as monitor:
        # Given
        wait_until_counted(monitor, worker)

        # When
        other.take_lease()
        monitor.wait_for(BrokerLink.STANDBY)
        monitor.camera.cut()

        # Then
        wait_until(lambda: not in_flight_in(QUEUE), 60, "all are deleted")
        other.leave()
        monitor.wait_for(BrokerLink.LISTENING)
        monitor.camera.cut()
    assert monitor.sink.sum("TasksSucceeded") == 50
    assert monitor.sink.sum("PublishAmbiguous") == 0


def test_a_window_whose_messages_another_monitor_gets_is_left_to_it(
    sqs: str, worker: QueueWorker, other: Other, caplog: pytest.LogCaptureFixture
) -> None:
    """If it gives them back uncounted, they count here."""
    with Monitor(sqs) as monitor:
        # Given
        wait_until_counted(monitor, worker)

        # When
        other.take_lease()
        monitor.wait_for(BrokerLink.STANDBY)
        monitor.clock.advance(VISIBILITY_SECONDS)
        wait_until(lambda: monitor.lease.has_another, 60, "the lease is another monitor's")
        monitor.camera.cut()
        assert "152 events that were counted here, and not published" in caplog.text

        # Then
        left = in_flight_in(QUEUE)
        other.leave()
        monitor.wait_for(BrokerLink.LISTENING)
        show_again(left)
        wait_until(lambda: monitor.state.event_count == 304, 60, "they have come again")
        monitor.camera.cut()
        wait_until(lambda: not in_flight_in(QUEUE), 60, "all are deleted")
    assert monitor.sink.sum("TasksSucceeded") == 50


@contextmanager
def load(worker: QueueWorker) -> Iterator[None]:
    """Run tasks all the while."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            worker.run(20)
            worker.worker_event()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_of_two_the_second_counts_on_where_the_first_leaves(sqs: str, worker: QueueWorker) -> None:
    """Under load: each task is counted by one of them."""
    first, second = Monitor(sqs), Monitor(sqs)

    def is_read_by(monitor: Monitor) -> bool:
        first.clock.advance(0.5)
        second.clock.advance(0.5)
        return bool(monitor.state.event_count > 500)

    def has_counted() -> bool:
        is_read_by(second)
        counted = first.state.event_count + second.state.event_count
        return bool(counted == 3 * worker.processed + worker.sent)

    with ExitStack() as leaving:
        with load(worker):
            # Given
            with first:
                wait_until(lambda: first.state.link is BrokerLink.LISTENING, 60, "the first reads")
                leaving.enter_context(second)
                wait_until(lambda: second.state.link is BrokerLink.STANDBY, 60, "the other waits")
                wait_until(lambda: is_read_by(first), 60, "the first counts", poll_seconds=0.1)

            # When it leaves
            wait_until(lambda: is_read_by(second), 60, "the second counts", poll_seconds=0.1)
        wait_until(has_counted, 60, "all are counted", poll_seconds=0.1)

    # Then
    for metric in ("TasksReceived", "TasksStarted", "TasksSucceeded"):
        assert first.sink.sum(metric) + second.sink.sum(metric) == worker.processed
    for metric in ("EventsLost", "PublishAmbiguous", "WorkersLost"):
        assert first.sink.sum(metric) + second.sink.sum(metric) == 0
    assert in_flight_in(QUEUE) == []


def test_who_leaves_while_it_waits_for_messages_keeps_the_lease_until_it_runs_out(
    sqs: str, other: Other
) -> None:
    """SQS may hand a message to its request yet: who leads next has to see that it is out."""
    with Monitor(sqs) as monitor:
        wait_until(lambda: monitor.state.link is BrokerLink.LISTENING, 60, "it reads")
        monitor.camera.cut()
    other.lease.turn(other.queue)
    assert not other.lease.is_held
    show_again(in_flight_in(lease_name(QUEUE)))  # a minute later
    other.lease.turn(other.queue)
    assert other.lease.is_held


def test_what_another_monitor_may_have_counted_is_told_though_our_clock_is_wrong(
    sqs: str, worker: QueueWorker
) -> None:
    """When a message was with it, SQS says by its own clock."""
    # Given messages that were with a monitor which has died
    client = sqs_client(sqs)
    url = client.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    while len(in_flight_in(QUEUE)) < worker.sent:
        client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=180)
    client.close()
    left_behind = in_flight_in(QUEUE)

    # When they come again, three minutes later
    with Monitor(sqs) as monitor:
        assert abs(monitor.clock.wall() - time.time()) > 3_600
        wait_until(lambda: monitor.state.link is BrokerLink.LISTENING, 60, "it reads")
        for message in left_behind:
            message.approximate_first_receive_timestamp -= 180_000
        show_again(left_behind)
        wait_until_counted(monitor, worker)
        monitor.camera.cut()
    assert monitor.sink.sum("PublishAmbiguous") == 1
