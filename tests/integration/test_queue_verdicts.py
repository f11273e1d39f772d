"""Queue verdicts: with real workers, an age, a backlog or a total is right, or it is absent."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from celery import Celery
from celery.signals import before_task_publish

from event_monitor.enqueued_at import HEADER, stamp_tasks
from event_monitor.metrics.gauges import queue_totals, values_by_queue, worker_totals
from event_monitor.metrics.source_values import SourceValues
from event_monitor.probes.join import join_survey
from event_monitor.probes.prober import Prober
from event_monitor.settings import Settings
from event_monitor.snapshot import BrokerLink, Snapshot
from event_monitor.state import State

from ..support.listener import Listener
from ..support.processes import Process, Processes
from ..support.servers import RabbitServer, Server
from ..support.waiting import wait_until

SOON = 60.0  # seconds; only a broken monitor, or a very slow machine, takes that long
SETTINGS = Settings(probe_seconds=2.0)

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)


class Monitor:
    """Events into a state, answers into a snapshot, and gauges from it, when a test asks."""

    def __init__(self, app: Celery, state: State, settings: Settings) -> None:
        self._state = state
        self._settings = settings
        self._last: Snapshot | None = None
        self.prober = Prober(app, settings, online=self._online, sent=state)

    def shot(self) -> Snapshot:
        """Return a snapshot with fresh answers."""
        self._last = self._state.freeze_while(self._state.expose).develop()
        self.prober.ask()
        self._last = join_survey(self._last, self.prober.survey())
        return self._last

    def queue(self, name: str) -> SourceValues:
        """Return the gauges of one queue; empty if it is not known."""
        return values_by_queue(self.shot().survey, self._settings).get(name, {})

    def queues(self) -> SourceValues:
        """Return the gauges of all queues."""
        return queue_totals(self.shot(), self._settings)

    def workers(self) -> SourceValues:
        """Return the gauges of all workers."""
        return worker_totals(self.shot().survey)

    def is_unread(self, name: str) -> bool | None:
        """Return whether messages wait in a queue that nobody reads; None if it is not known."""
        queues = self.shot().survey.queues or ()
        return next((queue.is_unread for queue in queues if queue.name == name), None)

    def _online(self) -> tuple[str, ...]:
        return tuple(worker.hostname for worker in self._last.online) if self._last else ()


@contextmanager
def monitoring(app: Celery, settings: Settings = SETTINGS) -> Iterator[Monitor]:
    """Begin to listen; what was before is not known."""
    state = State(settings)
    state.change_link(BrokerLink.LISTENING)
    with app.connection_for_read() as connection:
        receiver = Listener(connection, handlers={"*": state.event}, app=app)
        thread = threading.Thread(target=receiver.capture, kwargs={"wakeup": False})
        thread.start()
        receiver.wait_until_ready(60)
        monitor = Monitor(app, state, settings)
        try:
            yield monitor
        finally:
            receiver.should_stop = True
            thread.join()
            monitor.prober.close()


@pytest.fixture
def settings(broker: str, server: Callable[[str], Server]) -> Settings:
    """Settings by which all is known that the broker can tell."""
    if not broker.startswith("amqp"):
        return SETTINGS
    rabbit = server("rabbitmq")
    assert isinstance(rabbit, RabbitServer)
    url = f"http://guest:guest@127.0.0.1:{rabbit.http_port}"
    return Settings(probe_seconds=2.0, management_url=url)


@pytest.fixture
def impatient(settings: Settings) -> Settings:
    """The same for where no worker is, so that nobody's answer is waited for."""
    return replace(settings, probe_seconds=0.5)


@pytest.fixture
def monitor(client: Celery, settings: Settings) -> Iterator[Monitor]:
    with monitoring(client, settings) as monitor:
        yield monitor


def become(look: Callable[[], object], expected: object) -> None:
    """Wait until ``look()`` is what is expected."""
    wait_until(lambda: look() == expected, SOON, f"it is {expected!r}")


# -- ages ------------------------------------------------------------------------------------------


def test_the_age_by_task_sent_is_that_of_the_oldest(client: Celery, impatient: Settings) -> None:
    """While the tasks sent and not received are those that the broker holds."""
    with monitoring(client, impatient) as monitor:
        began = time.time()
        client.send_task("proj.succeed")
        time.sleep(2)
        client.send_task("proj.succeed")

        age = wait_until(lambda: monitor.queue("celery").get("oldest_message"), SOON, "it is known")

        assert isinstance(age, float)
        assert 2 <= age <= time.time() - began
        assert monitor.shot().waiting[0][0] == "celery"


@on_redis
def test_a_monitor_that_starts_in_a_backlog_says_nothing_of_its_age(
    client: Celery, impatient: Settings
) -> None:
    """Rather than the age of the first task that it saw being sent."""
    client.send_task("proj.succeed")
    time.sleep(2)
    with monitoring(client, impatient) as monitor:
        client.send_task("proj.succeed")
        become(lambda: monitor.queue("celery").get("queue_length"), 2)
        for _ in range(3):
            assert "oldest_message" not in monitor.queue("celery")
            assert "oldest_message" not in monitor.queues()


@on_redis
def test_readers_that_send_no_events_leave_the_age_unknown(
    processes: Processes, client: Celery, monitor: Monitor
) -> None:
    """What was sent long ago was received long ago, and nobody told."""
    # Given tasks that went through a worker without events, one of which still runs
    processes.worker("w1@silent", concurrency=1, events=False)
    client.send_task("proj.sleep_for", [600])
    for _ in range(4):
        client.send_task("proj.succeed")
    time.sleep(2)

    # When one waits
    client.send_task("proj.succeed")
    become(lambda: monitor.queue("celery").get("queue_length"), 1)

    # Then
    for _ in range(3):
        assert "oldest_message" not in monitor.queue("celery")


@on_redis
def test_a_low_priority_that_waits_is_not_forgotten_for_a_high_one(
    processes: Processes, client: Celery, monitor: Monitor
) -> None:
    """The worker takes the newer ones first."""
    # Given a low one and high ones, and a worker that can hold all but two
    client.send_task("proj.sleep_for", [600], priority=9)
    time.sleep(2)
    for _ in range(6):
        client.send_task("proj.sleep_for", [600], priority=0)
    processes.worker("w1@priorities", concurrency=1)
    become(lambda: monitor.queue("celery").get("queue_length"), 2)

    # Then the age is that of the low one
    age = wait_until(lambda: monitor.queue("celery").get("oldest_message"), SOON, "it is known")
    assert isinstance(age, float)
    assert age >= 2


def test_stamped_tasks_have_an_age_where_the_broker_can_tell(
    client: Celery, impatient: Settings
) -> None:
    """Without an event: from the header on Redis, from the timestamp on RabbitMQ."""
    client.conf.task_send_sent_event = False
    stamp_tasks(client)
    sent_at = time.time() - 500
    try:
        client.send_task("proj.succeed", headers={HEADER: sent_at})
    finally:
        before_task_publish.disconnect(dispatch_uid=HEADER)
    with monitoring(client, impatient) as monitor:
        age = wait_until(lambda: monitor.queue("celery").get("oldest_message"), SOON, "it is known")

    assert isinstance(age, float)
    assert 499 <= age <= time.time() - sent_at + 1  # RabbitMQ keeps whole seconds


# -- what waits, and for whom ----------------------------------------------------------------------


def test_tasks_that_wait_for_their_eta_are_no_backlog(
    processes: Processes, client: Celery, monitor: Monitor
) -> None:
    """Six of one queue and two of the other, of which no process is in need.

    A worker on RabbitMQ 4 holds no more than the eight that it may prefetch.
    """
    processes.worker("w1@later", concurrency=2)
    for _ in range(6):
        client.send_task("proj.succeed", countdown=3_600)
    for _ in range(2):
        client.send_task("proj.succeed", countdown=3_600, queue="elsewhere")

    become(lambda: monitor.queues().get("queue_unacked"), 8)
    become(
        lambda: [monitor.queue(name).get("backlog_per_worker") for name in ("celery", "elsewhere")],
        [0, 0],
    )
    become(lambda: monitor.queues().get("backlog_per_worker"), 0)
    become(lambda: monitor.workers().get("scheduled"), 8)


def test_a_queue_that_only_producers_know_is_watched_and_unread(
    processes: Processes, client: Celery, monitor: Monitor
) -> None:
    """Somebody mistyped its name."""
    processes.worker("w1@typo", concurrency=1)
    for _ in range(2):
        client.send_task("proj.succeed", queue="typo")

    become(lambda: monitor.queue("typo").get("queue_length"), 2)
    become(lambda: monitor.queue("typo").get("queue_consumers"), 0)
    become(lambda: monitor.is_unread("typo"), True)


@on_redis
def test_the_queues_of_single_workers_are_one(processes: Processes, monitor: Monitor) -> None:
    """And go with them."""
    workers: list[Process] = []
    for name in ("w1@pods", "w2@pods"):
        command = ["celery", "-A", "tests.support.proj", "worker", "--hostname", name, "-c", "1"]
        command += ["-Q", "celery", "-l", "INFO", "--without-mingle", "-E"]
        workers.append(processes.start(command, {"WORKER_DIRECT": "1"}))
    for worker in workers:
        worker.wait_for_output("@pods ready.")
    become(lambda: monitor.queue("worker_direct").get("queue_consumers"), 2)

    for worker in workers:
        worker.send(signal.SIGTERM)
    assert [worker.wait() for worker in workers] == [0, 0]
    become(lambda: monitor.queue("worker_direct"), {})
    become(lambda: monitor.queues().get("queue_length"), 0)


# -- who did not answer ----------------------------------------------------------------------------


@on_redis
def test_a_busy_solo_worker_makes_unknown_what_it_touches_and_nothing_smaller(
    processes: Processes, client: Celery, monitor: Monitor
) -> None:
    """It answers nobody while a task runs."""
    # Given a solo worker of one queue, and one of two processes that reads the other
    solo = processes.start(
        [
            *("celery", "-A", "tests.support.proj", "worker", "--hostname", "solo@partial"),
            *("-P", "solo", "-Q", "celery", "-l", "INFO", "--without-mingle", "-E"),
        ]
    )
    other = processes.start(
        [
            *("celery", "-A", "tests.support.proj", "worker", "--hostname", "other@partial"),
            *("-c", "2", "-Q", "elsewhere", "-l", "INFO", "--without-mingle", "-E"),
        ]
    )
    solo.wait_for_output("solo@partial ready.")
    other.wait_for_output("other@partial ready.")
    become(lambda: monitor.workers().get("pool_processes"), 3)

    # When it is busy
    busy_with = client.send_task("proj.sleep_for", [600]).id
    solo.wait_for_output(f"proj.sleep_for[{busy_with}] received")

    # Then
    become(
        lambda: [(absent.hostname, absent.queues) for absent in monitor.shot().survey.absent],
        [("solo@partial", ("celery",))],
    )
    assert not {"pool_processes", "utilization", "reserved"} & set(monitor.workers())
    assert "backlog_per_worker" not in monitor.queue("celery")
    assert "backlog_per_worker" not in monitor.queues()
    become(lambda: monitor.queue("elsewhere").get("backlog_per_worker"), 0)
