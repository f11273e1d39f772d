"""The master of a Redis that Sentinel watches dies, and a replica takes its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from ..support.endpoint import Endpoint
from ..support.failover import MASTER, Failover
from ..support.processes import LISTENS, Processes
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until

SOON = 60  # seconds; only a broken failover takes that long

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.fixture
def failover(tmp_path: Path) -> Iterator[Failover]:
    failover = Failover(tmp_path)
    yield failover
    failover.stop()


def test_the_monitor_goes_on_with_the_replica_that_takes_over(
    failover: Failover, cloudwatch: Endpoint, processes: Processes
) -> None:
    """It counts on within seconds, and takes no worker for dead."""
    # Given
    url = f"sentinel://127.0.0.1:{failover.port}/0"
    worker = SyntheticWorker(url, master_name=MASTER)
    monitor = processes.start(
        ["event-monitor", "run", "--transport-option", f"master_name={MASTER}"],
        {
            "EVENT_MONITOR_BROKER": url,
            "EVENT_MONITOR_INTERVAL": "1",
            "EVENT_MONITOR_WORKER_GRACE_SECONDS": "5",
        },
    )
    monitor.wait_for_output(LISTENS)
    worker.run(100)
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 100, SOON, "they are counted")

    # When
    failover.master.stop()
    monitor.wait_for_output(LISTENS, times=2)

    def is_back() -> bool:
        with suppress(OperationalError, OSError):
            worker.connect()
            return True
        return False

    wait_until(is_back, SOON, "the worker is back")
    worker.run(100)

    # Then
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 200, SOON, "all are counted")
    assert cloudwatch.sum("WorkersLost") == 0
    assert cloudwatch.sum("BrokerDisconnections") >= 1
    worker.close()
