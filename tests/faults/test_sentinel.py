"""The master of a Redis that Sentinel watches dies, and a replica takes its place."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError
from redis import Redis

from ..support.endpoint import Endpoint
from ..support.processes import LISTENS, Processes
from ..support.servers import RedisServer, free_port, kill_group, listens, server_command
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until

SOON = 60  # seconds; only a broken failover takes that long
MASTER = "mymaster"

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


class Failover:
    """A master, its replica, and a sentinel that takes the master for dead after a second."""

    def __init__(self, folder: Path) -> None:
        for name in ("master", "replica"):
            (folder / name).mkdir()
        self.master, self._replica = RedisServer(folder / "master"), RedisServer(folder / "replica")
        with Redis(port=self._replica.port) as replica:
            replica.replicaof("127.0.0.1", self.master.port)
        self.port = free_port()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {MASTER} 1000\n"
            f"sentinel failover-timeout {MASTER} 3000\n"
        )
        with (folder / "sentinel.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*(server_command("redis-server") or ()), str(config), "--sentinel"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: listens(self.port), SOON, "the sentinel listens")
        wait_until(self._knows_the_replica, SOON, "it has found the replica")

    def stop(self) -> None:
        kill_group(self._process)
        self.master.stop()
        self._replica.stop()

    def _knows_the_replica(self) -> bool:
        with Redis(port=self.port, decode_responses=True) as sentinel:
            found = sentinel.execute_command("SENTINEL", "REPLICAS", MASTER)
        return [replica["flags"] for replica in found] == ["slave"]


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
