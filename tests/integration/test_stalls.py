"""Stalls: a real worker that takes no work though it could is stalled; one that may not is not."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from celery import Celery

from event_monitor.probes.prober import Prober
from event_monitor.probes.stalled import StalledWorkers
from event_monitor.settings import Settings
from event_monitor.snapshot import WorkerStatus
from event_monitor.state import State

from ..support.commands import command
from ..support.processes import Process, Processes
from ..support.waiting import wait_until

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)

PROJECT = "tests.support.letting_go"
W1 = "w1@stalls"
LIMIT = 300.0
LATER = 1_000.0  # seconds: longer than the limit


@pytest.fixture
def worker(processes: Processes) -> Process:
    """A worker of one process that may hold four messages."""
    command = ["celery", "-A", PROJECT, "worker", "--hostname", W1, "--concurrency", "1"]
    worker = processes.start(
        [*command, "-Q", "celery,elsewhere", "-l", "INFO", "--without-mingle", "-E"]
    )
    worker.wait_for_output(f"{W1} ready.")
    return worker


@pytest.fixture
def roster(client: Celery) -> Iterator[Callable[[], tuple[WorkerStatus, ...]]]:
    """What the monitor's state thinks of the workers whose events come from here on."""
    with listening(client) as state:
        yield lambda: state.expose().develop().workers


@contextmanager
def listening(app: Celery) -> Iterator[State]:
    state = State()
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": state.event})
        thread = threading.Thread(target=receiver.capture, kwargs={"wakeup": False})
        thread.start()
        try:
            yield state
        finally:
            receiver.should_stop = True
            thread.join()


class Judged:
    """The verdict on the workers, as if each look came much later than the one before."""

    def __init__(self, client: Celery, roster: Callable[[], tuple[WorkerStatus, ...]]) -> None:
        # A broker or worker that is slow to answer is waited for.
        self._prober = Prober(client, Settings(probe_seconds=60.0), online=lambda: (W1,))
        self._roster = roster
        self._stalled = StalledWorkers(LIMIT)
        self._ahead = 0.0

    def stalled(self, *, after: float = LATER) -> tuple[str, ...] | None:
        """Ask workers and broker, and judge; the first look only begins."""
        self._prober.ask()
        self._ahead += after
        now = time.monotonic() + self._ahead
        return self._stalled.judge(self._roster(), self._prober.survey(), now=now)

    def close(self) -> None:
        """Close the connections."""
        self._prober.close()

    def ready(self) -> int | None:
        """How many messages wait in the first queue; None if that is not known."""
        self._prober.ask()
        queues = self._prober.survey().queues or ()
        return next((queue.ready for queue in queues if queue.name == "celery"), None)


@pytest.fixture
def judged(client: Celery, roster: Callable[[], tuple[WorkerStatus, ...]]) -> Iterator[Judged]:
    judged = Judged(client, roster)
    yield judged
    judged.close()


def idle(roster: Callable[[], tuple[WorkerStatus, ...]], *, processed: int) -> bool:
    """Whether the worker's heartbeat says that it runs nothing, and has begun so many tasks."""
    return [(status.active, status.processed) for status in roster()] == [(0, processed)]


@pytest.mark.usefixtures("worker")
def test_a_worker_that_fell_out_of_its_queues_is_stalled(
    client: Celery,
    roster: Callable[[], tuple[WorkerStatus, ...]],
    judged: Judged,
) -> None:
    """Its heartbeats come, it answers, and it takes nothing, until it takes hold again."""
    # Given
    wait_until(lambda: idle(roster, processed=0), 60, "its heartbeat has come")
    command(client, "let_go", W1)
    client.send_task("proj.succeed")  # one may be taken yet
    client.send_task("proj.succeed")
    wait_until(lambda: judged.ready() and roster()[0].active == 0, 60, "a message waits")

    # Then
    assert judged.stalled() == ()
    wait_until(lambda: judged.stalled() == (W1,), 60, "it is stalled")

    # When
    command(client, "take_hold", W1)
    wait_until(lambda: judged.ready() == 0 and idle(roster, processed=2), 60, "it has worked")
    assert judged.stalled() == ()


@on_redis
@pytest.mark.usefixtures("worker")
def test_a_worker_whose_pool_hangs_is_stalled(
    client: Celery,
    roster: Callable[[], tuple[WorkerStatus, ...]],
    judged: Judged,
) -> None:
    """It beats, answers, and holds all that it may; no process of its pool begins any of it."""
    # Given
    stats = command(client, "stats", W1)[W1]
    os.kill(stats["pool"]["processes"][0], signal.SIGSTOP)
    for _ in range(8):
        client.send_task("proj.succeed")
    wait_until(lambda: judged.ready() == 4, 60, "it holds four")
    wait_until(lambda: idle(roster, processed=0), 60, "its heartbeat has come")

    # Then
    assert judged.stalled() == ()
    wait_until(lambda: judged.stalled() == (W1,), 60, "it is stalled")


@on_redis
@pytest.mark.usefixtures("worker")
def test_a_worker_that_waits_for_a_rate_limit_is_not_stalled(
    client: Celery,
    roster: Callable[[], tuple[WorkerStatus, ...]],
    judged: Judged,
) -> None:
    """One task an hour: it holds four that inspect does not show, and runs none."""
    # Given
    command(client, "rate_limit", W1, task_name="proj.succeed", rate_limit="1/h")
    for _ in range(8):
        client.send_task("proj.succeed")
    wait_until(lambda: idle(roster, processed=1), 60, "it has run one, and its heartbeat has come")
    wait_until(lambda: judged.ready() == 3, 60, "it holds four")

    # Then it is not, until it should have begun the next
    assert judged.stalled() == ()
    assert [judged.stalled(), judged.stalled(), judged.stalled()] == [(), (), ()]
    assert judged.stalled() == (W1,)


@on_redis
@pytest.mark.usefixtures("worker")
def test_a_worker_whose_consumer_was_cancelled_is_not_stalled(
    client: Celery,
    roster: Callable[[], tuple[WorkerStatus, ...]],
    judged: Judged,
) -> None:
    """Somebody paused it."""
    command(client, "cancel_consumer", W1, queue="celery")
    for _ in range(3):
        client.send_task("proj.succeed")
    wait_until(lambda: judged.ready() and roster() and roster()[0].active == 0, 60, "they wait")

    assert [judged.stalled(), judged.stalled(), judged.stalled()] == [(), (), ()]
