"""Leader: of two monitors one publishes, and the other takes its place when it has gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from ..soak.monitors import load_on, rounds, troupe
from ..support.endpoint import Endpoint, successes_in
from ..support.servers import Server
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import StartMonitor

STANDS_BY = "standby: another monitor leads"
TAKES_OVER = "takes over: this monitor leads now"


def test_a_leader_that_is_killed_under_load_loses_and_doubles_nothing(
    server: Callable[[str], Server], tmp_path: Path
) -> None:
    """Each event is in one window, and each window is published by one of them."""
    with (
        troupe(tmp_path, server=server("redis"), monitors=2) as on,
        load_on(on, events_per_second=1_000) as load,
    ):
        on.replaces = False
        (done,) = rounds(on, load, actions=["kill"], seed=1, settled_seconds=2)

    assert done.action == "kill: the leader"
    assert done.is_right, done


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_standby_takes_over_when_the_leader_leaves(
    cloudwatch: Endpoint, worker: SyntheticWorker, start_monitor: StartMonitor
) -> None:
    """What is counted before, while and after is published once."""
    # Given two monitors
    leader = start_monitor()
    standby = start_monitor(until=STANDS_BY)
    worker.run(100)
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") >= 100, 60, "they are published")
    beats = cloudwatch.sum("MonitorHeartbeat")
    wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") >= beats + 10, 60, "shots go on")
    # One that ends late, or early because a monitor joins, is one more in its second.
    ends = Counter(int(datum.timestamp) for datum in cloudwatch.series("MonitorHeartbeat"))
    assert max(ends.values()) <= 3

    # When
    worker.run(100)
    assert leader.stop() == 0
    standby.wait_for_output(TAKES_OVER)
    worker.run(100)

    # Then
    assert standby.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded") == {
        "TasksStarted": 300,
        "TasksSucceeded": 300,
    }


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_leader_that_may_hear_nothing_any_more_lets_the_standby_lead(
    broker: str, cloudwatch: Endpoint, worker: SyntheticWorker, start_monitor: StartMonitor
) -> None:
    """The lock is its own still, which somebody has to have who hears."""
    # Given a leader that is a user of its own
    with redis.Redis.from_url(broker) as admin:
        admin.execute_command("ACL", "SETUSER", "a", "on", ">geheim", "+@all", "~*", "&*")
        try:
            of_its_own = broker.replace("redis://", "redis://a:geheim@")
            leader = start_monitor(environ={"BROKER_URL": of_its_own})
            standby = start_monitor(until=STANDS_BY)
            worker.run(100)
            wait_until(lambda: cloudwatch.sum("TasksSucceeded") >= 100, 60, "they are published")

            # When
            worker.run(100)
            admin.execute_command("ACL", "SETUSER", "a", "-psubscribe", "-subscribe")
            admin.execute_command("CLIENT", "KILL", "USER", "a", "TYPE", "pubsub")
            worker.run(100)
            standby.wait_for_output(TAKES_OVER)
            worker.run(100)

            # Then
            wait_until(lambda: cloudwatch.sum("TasksSucceeded") >= 400, 60, "they are published")
            assert STANDS_BY in leader.output
            assert leader.stop() == standby.stop() == 0
        finally:
            admin.execute_command("ACL", "DELUSER", "a")
    assert cloudwatch.sum("TasksSucceeded") == 400


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_monitors_of_other_namespaces_and_brokers_lead_side_by_side(
    server: Callable[[str], Server],
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
) -> None:
    """None stands by for another, and none ends with another."""
    # Given two namespaces on one broker, and one of them on a second broker as well
    elsewhere = server("redis").fresh_url()
    other_worker = SyntheticWorker(elsewhere)
    shop = start_monitor(namespace="Shop")
    bank = start_monitor(namespace="Bank")
    other_shop = start_monitor(namespace="Shop", environ={"BROKER_URL": elsewhere})

    def published(namespace: str) -> float:
        requests = tuple(cloudwatch.offered)
        return sum(successes_in(each) for each in requests if each["Namespace"] == namespace)

    def are_published(shop_tasks: int, bank_tasks: int) -> None:
        wait_until(
            lambda: (published("Shop"), published("Bank")) == (shop_tasks, bank_tasks),
            60,
            f"{shop_tasks} and {bank_tasks} are published",
        )

    # When there is work on both brokers, and one of them has ended
    worker.run(100)
    other_worker.run(10)
    are_published(110, 100)
    assert shop.stop() == 0
    worker.run(100)
    other_worker.run(10)

    # Then each has counted its own
    are_published(120, 200)
    assert (bank.stop(), other_shop.stop()) == (0, 0)
    assert (published("Shop"), published("Bank")) == (120, 200)
    said = shop.output + bank.output + other_shop.output
    assert STANDS_BY not in said
    assert TAKES_OVER not in said
    other_worker.close()
