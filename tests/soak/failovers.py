"""Failovers: for how long two lead when a replica of Redis takes over, and has not the lock.

``python -m tests.soak.failovers --help``. Replicas follow late: the lock is taken from the replica
before its master is killed, as if it had never come there.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from celery import Celery
from redis import Redis

from event_monitor.leader import Holder, Leader, lease_for

from ..support.failover import MASTER, Failover
from ..support.waiting import wait_until

NAME = "celeryev.leader.failover"
LOOK_SECONDS = 0.005
DEADLINE_SECONDS = 60.0


def leader_on(url: str) -> Leader:
    """Return one that asks for the lock already."""
    app = Celery("failover", broker=url, set_as_current=False)
    app.conf.broker_transport_options = {"master_name": MASTER}
    leader = Leader(lease_for(app, NAME, holder=Holder.here()))
    leader.start()
    return leader


def fail_over(folder: Path, chance: random.Random, *, keeps_lock: bool) -> tuple[float, float]:
    """Return for how many seconds two led, and nobody did."""
    failover = Failover(folder)
    leaders: list[Leader] = []
    try:
        url = f"sentinel://127.0.0.1:{failover.port}/0"
        for _ in range(2):
            leaders.append(leader_on(url))
            wait_until(lambda: any(one.leads() for one in leaders), 30, "one leads")
        time.sleep(chance.uniform(0, 3))  # somewhere between two renewals
        if not keeps_lock:
            with Redis(port=failover.replica.port) as replica:
                replica.config_set("replica-read-only", "no")
                replica.delete(NAME)
        failover.master.stop()
        return _watch(leaders, failover)
    finally:
        for leader in leaders:
            leader.close()
        failover.stop()


def _watch(leaders: list[Leader], failover: Failover) -> tuple[float, float]:
    both = nobody = 0.0
    before = time.monotonic()
    deadline, settled_at = before + DEADLINE_SECONDS, None
    while settled_at is None or before < settled_at:
        time.sleep(LOOK_SECONDS)
        now = time.monotonic()
        leading = sum(leader.leads() for leader in leaders)
        both += (now - before) * (leading > 1)
        nobody += (now - before) * (leading == 0)
        before = now
        if settled_at is None and _has_lock(failover):
            settled_at = now + 10.0  # longer than anybody may believe to lead
        assert now < deadline, "no failover"
    return both, nobody


def _has_lock(failover: Failover) -> bool:
    with suppress(Exception), Redis(port=failover.replica.port, socket_timeout=1) as redis:
        return redis.info("replication")["role"] == "master" and bool(redis.exists(NAME))
    return False


def main() -> int:
    """Run it, and say how long."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.failovers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep-lock", action="store_true", help="let the replica have it")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    found = []
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="failovers-") as folder:
            found.append(fail_over(Path(folder), chance, keeps_lock=asked.keep_lock))
        both, nobody = found[-1]
        print(f"two led for {both:.2f} s, nobody for {nobody:.2f} s", flush=True)  # noqa: T201
    longest = max(both for both, _ in found)
    times = sum(both > 0 for both, _ in found)
    print(  # noqa: T201  it is what it is for
        f"{times} of {len(found)} failovers made two lead, for {longest:.2f} s at most; "
        f"nobody led for {max(nobody for _, nobody in found):.2f} s at most"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
