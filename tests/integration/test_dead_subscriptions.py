"""Dead subscriptions: the broker answers, the queue is there, and nothing is bound to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from celery import Celery

from event_monitor import events as ev
from event_monitor.receiver import Receiver
from event_monitor.settings import Settings
from event_monitor.snapshot import AckToken
from event_monitor.status.ask import take_report
from event_monitor.status.worker_health import WorkerHealth, examine_worker

from ..support.processes import PROJECT, Processes
from ..support.servers import RabbitServer
from ..support.waiting import wait_until

SETTINGS = Settings(probe_seconds=0.5)

pytestmark = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)


class Listening:
    """A receiver in a thread, and what it told."""

    def __init__(self, app: Celery) -> None:
        self.links: list[bool] = []
        self.types: list[str] = []
        self.blocked: list[bool] = []
        self._receiver = Receiver(app.connection_for_read(), app=app)
        self._receiver.echo_seconds = 3.0  # in which a slow broker, too, sends an event back
        self._receiver.on_connection = self.links.append
        self._receiver.on_blocked = self.blocked.append
        self._receiver.on_events = self._on_events
        self._thread = threading.Thread(target=self._receiver.capture)
        self._thread.start()

    def _on_events(self, events: Sequence[ev.Event], _token: AckToken | None) -> None:
        self.types += [event.type for event in events]

    def stop(self) -> None:
        """End the thread."""
        self._receiver.stop()
        self._thread.join(30)


@pytest.fixture
def listening(client: Celery) -> Iterator[Listening]:
    """One that is connected."""
    listening = Listening(client)
    wait_until(lambda: listening.links == [True], 60, "it is connected")
    yield listening
    listening.stop()


def test_an_exchange_that_was_deleted_and_declared_again_is_noticed(
    broker: str, client: Celery, listening: Listening, rabbitmq: RabbitServer
) -> None:
    """An event of our own does not come back; then the next subscription receives again."""
    # Given
    exchange = f"exchanges/{broker.rpartition('/')[2]}/celeryev"
    rabbitmq.management("DELETE", exchange)
    rabbitmq.management("PUT", exchange, {"type": "topic", "durable": True})

    # When
    wait_until(lambda: listening.links == [True, False, True], 60, "it subscribes again")

    # Then
    with client.events.default_dispatcher(hostname="w1@dead") as dispatcher:
        dispatcher.send("worker-heartbeat", freq=2.0)
    wait_until(lambda: "worker-heartbeat" in listening.types, 60, "events come again")


def test_a_broker_that_blocks_all_who_publish_is_told_of_until_something_comes(
    client: Celery,
    listening: Listening,
    processes: Processes,
    rabbitmq: RabbitServer,
    tmp_path: Path,
) -> None:
    """The server's alarm for its disk: the subscription is well, and nobody can send.

    A monitor with a durable queue that starts meanwhile is no standby. And nothing is known of
    workers, which cannot answer: they would be restarted for no reason.
    """
    durable = {"DURABLE_QUEUE": "durable", "STATE_DIR": str(tmp_path), "INTERVAL": "1"}
    rabbitmq.control("set_disk_free_limit", "900000000000000")
    try:
        with ThreadPoolExecutor() as pool:
            health = pool.submit(examine_worker, client, SETTINGS, "w1@dead")
            report = pool.submit(take_report, client, SETTINGS)
            monitor = processes.start(
                ["event-monitor", "run", "-A", PROJECT, "--sink", "console"],
                {f"EVENT_MONITOR_{name}": value for name, value in durable.items()},
            )
            monitor.wait_for_output(
                "does not take an event to myself: it takes messages from nobody"
            )
            wait_until(lambda: listening.blocked == [True], 60, "an event of our own is blocked")
            monitor.wait_for_output("nothing from the durable queue yet")
        assert health.result() == WorkerHealth(
            "unknown",
            "nothing is known of w1@dead: the broker takes messages from nobody, as its memory or "
            "disk is short.",
        )
        assert report.result().workers is None
    finally:
        rabbitmq.control("set_disk_free_limit", "50MB")

    with client.events.default_dispatcher(hostname="w1@dead") as dispatcher:
        dispatcher.send("worker-heartbeat", freq=2.0)
    wait_until(lambda: listening.blocked == [True, False], 60, "events come again")
    assert listening.links == [True]
    monitor.wait_for_output(" 0 lost · 1 worker")
    monitor.stop()
    assert "another monitor" not in monitor.output
    assert monitor.output.count("takes messages from nobody") == 1


def test_a_quiet_subscription_that_works_stays(listening: Listening) -> None:
    """Events of our own come back, time and again."""
    wait_until(lambda: listening.types.count(ev.OWN_EVENT) >= 3, 60, "three have come back")

    assert listening.links == [True]
