"""Failover: a Redis that Sentinel watches, and a replica that takes its place."""

from __future__ import annotations

import subprocess
from pathlib import Path

from redis import Redis

from .servers import RedisServer, free_port, kill_group, listens, server_command
from .waiting import wait_until

__all__ = ["MASTER", "Failover"]

SOON = 60  # seconds; only a broken failover takes that long
MASTER = "mymaster"


class Failover:
    """A master, its replica, and a sentinel that takes the master for dead after a second."""

    def __init__(self, folder: Path) -> None:
        for name in ("master", "replica"):
            (folder / name).mkdir()
        self.master, self.replica = RedisServer(folder / "master"), RedisServer(folder / "replica")
        with Redis(port=self.replica.port) as replica:
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
        """Kill all three."""
        kill_group(self._process)
        self.master.stop()
        self.replica.stop()

    def _knows_the_replica(self) -> bool:
        with Redis(port=self.port, decode_responses=True) as sentinel:
            found = sentinel.execute_command("SENTINEL", "REPLICAS", MASTER)
        return [replica["flags"] for replica in found] == ["slave"]
