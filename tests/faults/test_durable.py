"""Durable: a queue on RabbitMQ keeps the events while no monitor runs, and none counts twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..integration.waiting import wait_until
from .conftest import StartMonitor
from .endpoint import Endpoint
from .proxy import Proxy
from .synthetic import TASK, SyntheticWorker

COUNTS = ("TasksReceived", "TasksStarted", "TasksSucceeded")
KILLS = 10

pytestmark = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {"durable_queue": "event-monitor", "state_dir": str(tmp_path)}


@contextmanager
def load(worker: SyntheticWorker) -> Iterator[None]:
    """Tasks come and go all the while, some of them long."""
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
    return dict.fromkeys(COUNTS, worker.processed)


def wait_for_truth(cloudwatch: Endpoint, worker: SyntheticWorker) -> None:
    wait_until(
        lambda: cloudwatch.sum("TasksSucceeded") >= worker.processed, 60, "all have been counted"
    )


def test_events_sent_while_no_monitor_runs_are_counted_by_the_next(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: dict[str, Any],
) -> None:
    """Stopped in order, and started again after a while."""
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


def test_ten_kills_in_a_row_under_load_lose_and_double_nothing(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    settings: dict[str, Any],
) -> None:
    """kill -9 in the middle of a window: what was not in the spool comes again, the rest not."""
    rng = random.Random(7)
    monitor = start_monitor(**settings)
    with load(worker):
        for _ in range(KILLS):
            # Given that a window has arrived, and that another is half full
            sent = len(cloudwatch.requests)
            wait_until(lambda sent=sent: len(cloudwatch.requests) > sent, 30, "a shot")
            threading.Event().wait(rng.uniform(0.2, 0.8))

            # When the monitor is killed, and started again
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
    settings: dict[str, Any],
    proxy: Proxy,
    proxied: dict[str, str],
) -> None:
    """What was counted and not acknowledged comes again on the new connection; it is known."""
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
    settings: dict[str, Any],
) -> None:
    """The prefetch is full long before the interval is over; a shot is taken then."""
    start_monitor(interval=600, durable_prefetch=100, **settings)

    # When the events of 5,000 tasks come, in more than 600 messages, all starts before the ends
    worker.run(5_000)

    # Then all starts are counted, though the interval lasts ten minutes
    wait_until(lambda: cloudwatch.sum("TasksStarted") == 5_000, 60, "they are counted at once")


def test_it_says_what_it_needs(start_monitor: StartMonitor, settings: dict[str, Any]) -> None:
    """Without a state directory nothing can be safe before it is acknowledged."""
    monitor = start_monitor(until=None, durable_queue=settings["durable_queue"])
    assert monitor.wait() == 2
    assert "state_dir is not set" in monitor.output
