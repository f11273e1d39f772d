"""Events that were not received are counted: EventsLost is the exact number of missing tasks."""

from __future__ import annotations

import signal

import pytest
from celery import Celery
from redis import Redis

from ..support.endpoint import Endpoint
from ..support.processes import LISTENS, Processes
from ..support.proxy import Proxy
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from ..support.witness import Witness
from .conftest import StartMonitor

SOON = 60  # seconds; only a broken monitor takes that long
AWAY = "is away"
SETTLED_SHOTS = 3  # windows after which a loss is published, or never will be

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_tasks_that_ran_while_the_monitor_was_cut_off(
    proxy: Proxy,
    proxied: dict[str, str],
    processes: Processes,
    start_monitor: StartMonitor,
    client: Celery,
    witness: Witness,
    cloudwatch: Endpoint,
) -> None:
    """EventsLost is 0 while connected, and then exactly the number of tasks that were missed."""
    # Given a monitor that has counted five tasks of a real worker, and missed none
    monitor = start_monitor(environ=proxied)
    processes.worker("w1@real", concurrency=1)
    run(client, witness, 5)
    witness.wait_for_beats("w1@real")
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 5, SOON, "five tasks are counted")
    assert {datum.values for datum in cloudwatch.series("EventsLost")} == {(0.0,)}

    # When twelve more run while it is cut off, and it is connected again
    proxy.refuse()
    monitor.wait_for_output(AWAY)
    run(client, witness, 12)
    proxy.forward()
    monitor.wait_for_output(LISTENS, SOON, times=2)
    witness.wait_for_beats("w1@real")
    run(client, witness, 3)
    wait_until(lambda: cloudwatch.sum("EventsLost"), SOON, "the loss shows")
    witness.wait_for_beats("w1@real")
    wait_for_shots(cloudwatch, SETTLED_SHOTS)

    # Then twelve are missing, and counted once
    assert monitor.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "EventsLost") == {
        "TasksStarted": 8,
        "TasksSucceeded": 8,
        "EventsLost": 12,
    }


@on_redis
def test_subscriber_that_redis_kills(
    broker: str, start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """The monitor notices at once, subscribes again, and counts what it missed."""
    # Given
    monitor = start_monitor()
    worker.run(40)
    worker.beat()
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, SOON, "tasks are counted")

    # When, before it can subscribe again, tasks run
    monitor.hold()
    with Redis.from_url(broker) as redis:
        (subscription,) = event_subscriptions(redis)
        assert redis.client_kill_filter(_id=subscription) == 1
    worker.run(7)
    monitor.send(signal.SIGCONT)
    monitor.wait_for_output(LISTENS, SOON, times=2)
    worker.run(2)
    with worker.beating():
        wait_until(lambda: cloudwatch.sum("EventsLost"), SOON, "the loss shows")
        wait_for_shots(cloudwatch, SETTLED_SHOTS)

    # Then
    assert monitor.stop() == 0
    assert AWAY in monitor.output
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "EventsLost") == {
        "TasksStarted": 42,
        "TasksSucceeded": 42,
        "EventsLost": 7,
    }


@on_redis
def test_subscriber_that_is_too_slow_for_redis(
    broker: str, start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """Redis cuts off a monitor that stands still: received and lost add up to the truth."""
    with Redis.from_url(broker) as redis:
        # Given a Redis that holds back very little, and a monitor that is stopped
        limits = redis.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
        redis.config_set("client-output-buffer-limit", "pubsub 100000 0 0")
        try:
            monitor = start_monitor()
            worker.run(40)
            worker.beat()
            wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, SOON, "tasks are counted")
            monitor.hold()

            # When more is sent than the sockets between them can hold
            sent = 0
            while event_subscriptions(redis):
                assert sent < 24 * 500, f"{redis.client_list()}\n{monitor.output}"
                worker.run(24, padding=20_000)
                sent += 24
            worker.run(24)
            monitor.send(signal.SIGCONT)
            monitor.wait_for_output(LISTENS, SOON, times=2)
            worker.run(2)
            with worker.beating():
                wait_until(lambda: cloudwatch.sum("EventsLost"), SOON, "the loss shows")
                wait_for_shots(cloudwatch, SETTLED_SHOTS)
        finally:
            redis.config_set("client-output-buffer-limit", limits)

    # Then
    assert monitor.stop() == 0
    assert AWAY in monitor.output
    assert cloudwatch.sum("EventsLost") >= 24
    assert cloudwatch.sum("TasksStarted") + cloudwatch.sum("EventsLost") == 40 + sent + 24 + 2
    assert cloudwatch.sum("EventsInvalid") == 0


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"], indirect=True)
def test_monitor_that_stood_still_loses_nothing_the_broker_kept(
    start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """Events that waited for a stopped monitor are counted when it goes on; none is lost."""
    # Given
    monitor = start_monitor()
    worker.beat()
    wait_for_shots(cloudwatch, 1)

    # When
    monitor.hold()
    worker.run(500)
    monitor.send(signal.SIGCONT)
    with worker.beating():
        wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 500, SOON, "tasks are counted")
        wait_for_shots(cloudwatch, SETTLED_SHOTS)

    # Then
    assert monitor.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "EventsLost") == {
        "TasksStarted": 500,
        "TasksSucceeded": 500,
        "EventsLost": 0,
    }


def run(client: Celery, witness: Witness, tasks: int) -> None:
    """Run so many tasks to their end."""
    for result in [client.tasks["proj.succeed"].delay() for _ in range(tasks)]:
        witness.wait_for(SOON, uuid=result.id, type="task-succeeded")


def wait_for_shots(cloudwatch: Endpoint, shots: int) -> None:
    """Wait until so many more windows have arrived."""
    wanted = cloudwatch.sum("MonitorHeartbeat") + shots
    wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") >= wanted, SOON, f"{shots} more shots")


def event_subscriptions(redis: Redis) -> set[str]:
    """Return the ids of the connections that subscribe to a pattern in this test's database.

    A sentinel of other tests, which watches over the same server, subscribes to a channel.
    """
    database = str(redis.connection_pool.connection_kwargs["db"])
    return {
        client["id"]
        for client in redis.client_list(_type="pubsub")
        if client["db"] == database and client["psub"] != "0"
    }
