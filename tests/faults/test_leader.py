"""Leader: of two monitors one publishes, and the other takes its place when it has gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ..soak.monitors import load_on, rounds, troupe
from ..support.endpoint import Endpoint
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
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") >= 100, 20, "they are published")
    beats = cloudwatch.sum("MonitorHeartbeat")
    wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") >= beats + 10, 30, "shots go on")
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
