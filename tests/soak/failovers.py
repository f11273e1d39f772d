"""Failovers: for how long two lead when a replica of Redis takes over, and has not the lock.

``python -m tests.soak.failovers --help``. Replicas follow late: the lock is taken from the replica
before its master is killed, as if it had never come there. Of two monitors the log says when each
leads; with ``--lock-only`` there are none, only two that ask for the lock.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

from celery import Celery
from redis import Redis

from event_monitor.leader import Holder, Leader, lease_for

from ..support.endpoint import Endpoint
from ..support.failover import MASTER, Failover
from ..support.processes import LISTENS, Process
from ..support.waiting import wait_until

NAMES = "celeryev.leader."
LOOK_SECONDS = 0.005
LONGEST_SECONDS = 10.0  # nobody believes for longer that it leads
DEADLINE_SECONDS = 60.0
STANDS_BY, TAKES_OVER = "standby: another monitor leads", "takes over: this monitor leads now"
STAMP, STAMP_CHARACTERS = "%Y-%m-%d %H:%M:%S,%f", 23


def with_monitors(failover: Failover, folder: Path, chance: random.Random) -> float:
    """Return for how many seconds two monitors led; below 0, for how many nobody did."""
    with ExitStack() as stack:
        cloudwatch = stack.enter_context(Endpoint())
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environ = {
            **kept,
            **cloudwatch.environ,
            "EVENT_MONITOR_BROKER": f"sentinel://127.0.0.1:{failover.port}/0",
            "EVENT_MONITOR_INTERVAL": "1",
            "TZ": "UTC",
        }
        command = ["event-monitor", "run", "--transport-option", f"master_name={MASTER}"]
        monitors = []
        for number in range(2):
            monitors.append(Process(command, environ, folder / f"monitor-{number}.log"))
            stack.callback(monitors[-1].kill)
            monitors[-1].wait_for_output(LISTENS)
        old, new = monitors
        new.wait_for_output(STANDS_BY)
        time.sleep(2 + chance.uniform(0, 3))  # somewhere between two renewals
        _lose_lock(failover)
        failover.master.stop()
        for monitor in monitors:
            monitor.wait_for_output(LISTENS, times=2)
        time.sleep(LONGEST_SECONDS)
        if TAKES_OVER not in new.output:
            return 0.0
        return _last(old, STANDS_BY) - _last(new, TAKES_OVER)


def lock_only(failover: Failover, _folder: Path, chance: random.Random) -> float:
    """Return for how many seconds two believed to have the lock."""
    leaders: list[Leader] = []
    try:
        for _ in range(2):
            leaders.append(_leader_on(f"sentinel://127.0.0.1:{failover.port}/0"))
            wait_until(lambda: any(one.leads() for one in leaders), 30, "one leads")
        time.sleep(chance.uniform(0, 3))
        _lose_lock(failover)
        failover.master.stop()
        return _both_lead(leaders, failover)
    finally:
        for leader in leaders:
            leader.close()


def _last(monitor: Process, what: str) -> float:
    line = [line for line in monitor.output.splitlines() if what in line][-1]
    return datetime.strptime(line[:STAMP_CHARACTERS], STAMP).timestamp()  # noqa: DTZ007  a difference


def _leader_on(url: str) -> Leader:
    app = Celery("failover", broker=url, set_as_current=False)
    app.conf.broker_transport_options = {"master_name": MASTER}
    leader = Leader(lease_for(app, f"{NAMES}failover", holder=Holder.here()))
    leader.start()
    return leader


def _lose_lock(failover: Failover) -> None:
    with Redis(port=failover.replica.port) as replica:
        keys = wait_until(lambda: list(replica.scan_iter(f"{NAMES}*")), 30, "the replica follows")
        replica.config_set("replica-read-only", "no")
        replica.delete(*keys)


def _both_lead(leaders: list[Leader], failover: Failover) -> float:
    both, before = 0.0, time.monotonic()
    deadline, settled_at = before + DEADLINE_SECONDS, None
    while settled_at is None or before < settled_at:
        time.sleep(LOOK_SECONDS)
        now = time.monotonic()
        both += (now - before) * all(leader.leads() for leader in leaders)
        before = now
        if settled_at is None and _has_lock(failover):
            settled_at = now + LONGEST_SECONDS
        assert now < deadline, "no failover"
    return both


def _has_lock(failover: Failover) -> bool:
    with suppress(Exception), Redis(port=failover.replica.port, socket_timeout=1) as redis:
        return redis.info("replication")["role"] == "master" and any(redis.scan_iter(f"{NAMES}*"))
    return False


def main() -> int:
    """Run it, and say how long."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.failovers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--lock-only", action="store_true", help="without monitors")
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    measure = lock_only if asked.lock_only else with_monitors
    found = []
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory(prefix="failovers-") as folder:
            failover = Failover(Path(folder))
            try:
                found.append(measure(failover, Path(folder), chance))
            finally:
                failover.stop()
        print(f"two led for {found[-1]:.2f} s", flush=True)  # noqa: T201  it is what it is for
    print(  # noqa: T201
        f"{sum(seconds > 0 for seconds in found)} of {len(found)} failovers made two lead, for "
        f"{max(found):.2f} s at most"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
