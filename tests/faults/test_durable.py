"""Durable: a queue on RabbitMQ keeps the events while no monitor runs, and none counts twice."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypedDict

import pytest
from kombu import Connection, Producer, Queue

from event_monitor.errors import EXIT_USAGE

from ..support.endpoint import Endpoint
from ..support.processes import Process
from ..support.proxy import Proxy
from ..support.spooled import batches_spooled, is_sending
from ..support.synthetic import TASK, SyntheticWorker
from ..support.waiting import wait_until
from .conftest import Mount, StartMonitor, fill

COUNTS = ("TasksReceived", "TasksStarted", "TasksSucceeded")
KILLS = 5
STANDS_BY = "standby: another monitor reads the queue of events"
TAKES_OVER = "takes over: the events come to this monitor now"

pytestmark = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)


class DurableSettings(TypedDict):
    """The settings without which there is no durable queue."""

    durable_queue: str
    state_dir: str


@pytest.fixture
def settings(tmp_path: Path) -> DurableSettings:
    """Return the settings of a durable queue and its spool."""
    return {"durable_queue": "event-monitor", "state_dir": str(tmp_path)}


@contextmanager
def load(worker: SyntheticWorker) -> Iterator[None]:
    """Run tasks all the while, some of them long."""
    stop = threading.Event()

    def work() -> None:
        long: list[str] = []
        while not stop.wait(0.005):
            worker.run(10)
            long += worker.start(2)
            if len(long) > 300:
                worker.succeed(long)
                long = []
        worker.succeed(long)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def truth(worker: SyntheticWorker) -> dict[str, float]:
    """Return what ``COUNTS`` are when every task of the worker was counted once."""
    return dict.fromkeys(COUNTS, worker.processed)


def wait_for_truth(cloudwatch: Endpoint, worker: SyntheticWorker) -> None:
    """Wait until as many tasks are counted as the worker has run."""
    wait_until(
        lambda: cloudwatch.sum("TasksSucceeded") >= worker.processed, 60, "all have been counted"
    )


def has_more_requests(cloudwatch: Endpoint, before: int) -> bool:
    """Return whether requests have arrived since there were so many."""
    return len(cloudwatch.requests) > before


def stopped_between_sends(monitor: Process, state_dir: Path) -> bool:
    """Hold the monitor, unless it is sending; return whether it is held."""
    monitor.hold()
    if is_sending(state_dir):
        monitor.send(signal.SIGCONT)
        return False
    return True


def test_events_sent_while_no_monitor_runs_are_counted_by_the_next(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
) -> None:
    """After a graceful shutdown the queue keeps what comes; the next monitor counts it."""
    # Given a monitor that stops halfway
    monitor = start_monitor(**settings)
    started = worker.start(50)
    assert monitor.stop() == 0

    # When the tasks end, and others come and go, before the next one starts
    worker.succeed(started)
    worker.run(500)
    start_monitor(**settings)

    # Then every one has been counted once, and under its name
    wait_for_truth(cloudwatch, worker)
    assert cloudwatch.counts(*COUNTS) == truth(worker)
    assert cloudwatch.sum("TasksSucceeded", TaskName=TASK) == worker.processed


def test_kills_in_a_row_under_load_lose_and_double_nothing(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
    tmp_path: Path,
) -> None:
    """After kill -9 in mid-window, what was not in the spool is delivered again, and only that.

    No kill falls into a send: nobody can know whether that was applied.
    """
    rng = random.Random(7)
    monitor = start_monitor(**settings)
    with load(worker):
        for _ in range(KILLS):
            # Given that a window has arrived, and that another is half full
            sent = len(cloudwatch.requests)
            wait_until(partial(has_more_requests, cloudwatch, sent), 60, "a shot")
            threading.Event().wait(rng.uniform(0.2, 0.8))

            # When the monitor is killed, and started again
            wait_until(partial(stopped_between_sends, monitor, tmp_path), 60, "no send")
            monitor.kill()
            monitor = start_monitor(**settings)

    # Then the sums are the truth, and no name was lost on the way
    wait_for_truth(cloudwatch, worker)
    assert monitor.stop() == 0
    assert cloudwatch.counts(*COUNTS) == truth(worker)
    assert cloudwatch.sum("TasksSucceeded", TaskName=TASK) == worker.processed
    assert cloudwatch.sum("PublishAmbiguous") == 0


def test_a_connection_cut_under_load_loses_and_doubles_nothing(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
    proxy: Proxy,
    proxied: dict[str, str],
) -> None:
    """What was counted and not acknowledged is delivered again, and recognised."""
    monitor = start_monitor(environ=proxied, **settings)
    with load(worker):
        for times in (2, 3, 4):
            proxy.refuse()
            monitor.wait_for_output("is away", times=times - 1)
            proxy.forward()
            monitor.wait_for_output("receiving events from", times=times)
    wait_for_truth(cloudwatch, worker)
    assert monitor.stop() == 0
    assert cloudwatch.counts(*COUNTS) == truth(worker)
    assert cloudwatch.sum("BrokerDisconnections") == 3


def test_more_messages_than_may_be_unacknowledged_do_not_wait_for_the_next_shot(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
) -> None:
    """The prefetch is full long before the interval is over; a shot is taken then."""
    start_monitor(interval=600, durable_prefetch=100, **settings)

    # When the events of 5,000 tasks come, in more than 600 messages, all starts before the ends
    worker.run(5_000)

    # Then all starts are counted, though the interval lasts ten minutes
    wait_until(lambda: cloudwatch.sum("TasksStarted") == 5_000, 60, "they are counted at once")


def test_a_monitor_elsewhere_goes_on_after_a_graceful_shutdown(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
    tmp_path: Path,
) -> None:
    """It needs nothing of the first one's directory: the last window was acknowledged."""
    # Given
    first = start_monitor(**settings)
    worker.run(500)
    assert first.stop() == 0

    # When
    worker.run(100)
    settings["state_dir"] = str(tmp_path / "elsewhere")
    second = start_monitor(**settings)
    wait_for_truth(cloudwatch, worker)

    # Then
    assert second.stop() == 0
    assert cloudwatch.counts(*COUNTS) == truth(worker)


def test_a_standby_takes_over_and_publishes_nothing_before(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
    tmp_path: Path,
) -> None:
    """Two monitors read the same queue; the broker gives it to one of them at a time."""
    # Given
    first = start_monitor(dimensions="Monitor=first", **settings)
    settings["state_dir"] = str(tmp_path / "elsewhere")
    second = start_monitor(dimensions="Monitor=second", **settings)
    second.wait_for_output(STANDS_BY)
    wait_until(
        lambda: not batches_spooled(tmp_path / "elsewhere"), 60, "what it took before is published"
    )
    with load(worker):
        wait_until(
            lambda: cloudwatch.sum("TasksStarted", Monitor="first") > 100, 60, "the first counts"
        )
        beats = [cloudwatch.sum("MonitorHeartbeat", Monitor=name) for name in ("first", "second")]
        wait_until(
            lambda: cloudwatch.sum("MonitorHeartbeat", Monitor="first") >= beats[0] + 3, 60, "shots"
        )
        # One that it published before it knew that it stands by may have been under way.
        assert cloudwatch.sum("MonitorHeartbeat", Monitor="second") <= beats[1] + 1
        assert cloudwatch.series("WorkersOnline", Monitor="second") == ()
        assert cloudwatch.sum("TasksStarted", Monitor="second") == 0

        # When
        assert first.stop() == 0

        # Then
        wait_until(
            lambda: cloudwatch.sum("TasksStarted", Monitor="second") > 100, 60, "the other counts"
        )
        second.wait_for_output(TAKES_OVER)
        wait_until(
            lambda: cloudwatch.sum("WorkersOnline", Monitor="second"), 60, "it knows the worker"
        )

    def both(name: str) -> float:
        return sum(cloudwatch.sum(name, Monitor=monitor) for monitor in ("first", "second"))

    wait_until(lambda: both("TasksSucceeded") >= worker.processed, 60, "all are counted")
    assert second.stop() == 0
    assert (second.output.count(STANDS_BY), second.output.count(TAKES_OVER)) == (1, 1)
    assert STANDS_BY not in first.output
    assert {name: both(name) for name in COUNTS} == truth(worker)


def test_that_there_are_no_workers_is_known_without_any_event_of_theirs(
    cloudwatch: Endpoint, start_monitor: StartMonitor, settings: DurableSettings
) -> None:
    """The monitor receives its own event; whoever scales from zero needs the zero."""
    monitor = start_monitor(**settings)

    wait_until(lambda: cloudwatch.series("WorkersOnline"), 60, "it is published")

    assert monitor.stop() == 0
    assert cloudwatch.sum("WorkersOnline") == 0
    assert cloudwatch.counts("EventsReceived", "CustomEvents") == {
        "EventsReceived": 0,
        "CustomEvents": 0,
    }


def test_other_bounds_than_those_of_the_queue_are_logged_and_events_are_counted(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
) -> None:
    """RabbitMQ cannot change the bounds of a queue that exists."""
    assert start_monitor(**settings).stop() == 0
    worker.run(50)

    monitor = start_monitor(durable_max_messages=5_000, **settings)
    wait_for_truth(cloudwatch, worker)

    assert monitor.stop() == 0
    assert monitor.output.count("is there with other bounds, and is used as it is") == 1
    assert cloudwatch.counts(*COUNTS) == truth(worker)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"x-queue-type": "quorum"}, {"x-expires": 600_000, "x-max-length": 9}],
    ids=["classic", "quorum", "with bounds"],
)
def test_a_queue_of_somebody_elses_is_not_read(
    broker: str,
    start_monitor: StartMonitor,
    settings: DurableSettings,
    arguments: dict[str, object],
) -> None:
    """It may be one of tasks: its messages would be taken for events, and be gone."""
    with Connection(broker) as connection:
        queue = Queue(settings["durable_queue"], durable=True, queue_arguments=arguments)
        Producer(connection.channel()).publish("a task", routing_key=queue.name, declare=[queue])

        monitor = start_monitor(until="is none of ours", **settings)

        assert monitor.wait() == EXIT_USAGE
        assert queue(connection.channel()).queue_declare(passive=True).message_count == 1


def test_a_message_may_be_delivered_again_any_number_of_times(
    broker: str,
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
) -> None:
    """RabbitMQ 4 drops one with its twentieth connection, unless the queue has another limit."""
    assert start_monitor(**settings).stop() == 0
    worker.run(50)
    for _ in range(25):
        with Connection(broker) as connection:
            queue = connection.SimpleQueue(Queue(settings["durable_queue"], no_declare=True))
            queue.get(timeout=60)  # and never acknowledge it

    monitor = start_monitor(**settings)
    wait_for_truth(cloudwatch, worker)
    assert monitor.stop() == 0
    assert cloudwatch.counts(*COUNTS) == truth(worker)


def test_nothing_is_acknowledged_that_a_full_disk_did_not_take(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
    mount: Mount,
) -> None:
    """Counted in memory only, then killed: the broker still has the messages."""
    # Given windows that are neither on disk nor at CloudWatch
    folder = mount("size=256k")
    settings["state_dir"] = str(folder)
    monitor = start_monitor(**settings)
    cloudwatch.misbehave("throttle")
    fill(folder / "filler")
    worker.run(200)
    monitor.wait_for_output("going on in memory")
    worker.run(200)
    shots = cloudwatch.wait_for_requests(len(cloudwatch.requests) + 1, timeout_seconds=30)
    assert shots

    # When
    monitor.kill()
    (folder / "filler").unlink()
    cloudwatch.behave()
    start_monitor(**settings)

    # Then
    wait_for_truth(cloudwatch, worker)
    assert cloudwatch.counts(*COUNTS) == truth(worker)


def test_a_durable_queue_needs_a_state_directory(
    start_monitor: StartMonitor, settings: DurableSettings
) -> None:
    """Without one nothing can be safe before it is acknowledged."""
    monitor = start_monitor(until=None, durable_queue=settings["durable_queue"])
    assert monitor.wait() == 2
    assert "state_dir is not set" in monitor.output


def test_a_full_disk_is_no_death_of_workers_that_cannot_be_heard(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: DurableSettings,
    mount: Mount,
) -> None:
    """Without CloudWatch nothing is acknowledged then: RabbitMQ sends no heartbeats either."""
    # Given a disk on which there is room for a spool, and then no more
    folder = mount("size=256k")
    settings["state_dir"] = str(folder)
    monitor = start_monitor(
        **settings, durable_prefetch=100, worker_grace_seconds=3, worker_grace_beats=2
    )
    fill(folder / "filler")
    cloudwatch.misbehave("throttle")

    with worker.beating():
        # When there are more messages than may be unacknowledged, for longer than the grace
        worker.run(1_000)
        monitor.wait_for_output("no more may be unacknowledged")
        threading.Event().wait(6.0)
        (folder / "filler").unlink()
        cloudwatch.behave()

        # Then all is counted when there is room again, and nobody has died
        wait_for_truth(cloudwatch, worker)
        assert cloudwatch.counts(*COUNTS) == truth(worker)
        assert cloudwatch.sum("WorkersLost") == 0
