"""Verdicts: what a monitor with little patience has published about the workers so far."""

from __future__ import annotations

import time
from collections.abc import Callable

from celery import Celery

from .cloudwatch import CloudWatch
from .waiting import wait_until
from .witness import Witness

GRACE_SECONDS = 4  # also two of Celery's heartbeats, below which no setting goes
INTERVAL_SECONDS = 2
#: What is due shows within the grace and two windows; the rest is for a slow machine.
SOON = GRACE_SECONDS + 2 * INTERVAL_SECONDS + 12

IMPATIENT = {
    "EVENT_MONITOR_WORKER_GRACE_SECONDS": str(GRACE_SECONDS),
    "EVENT_MONITOR_WORKER_GRACE_BEATS": "2",
}

VERDICTS = ("WorkersLost", "TasksOrphaned", "EventsLost")


def verdicts(cloudwatch: CloudWatch) -> dict[str, float]:
    """Return the sum of each verdict."""
    return {metric: cloudwatch.sum(metric) for metric in VERDICTS}


def none_but(**sums: float) -> dict[str, float]:
    """Return what ``verdicts`` is when nothing is wrong but this."""
    return {**dict.fromkeys(VERDICTS, 0.0), **sums}


def wait_for_last(cloudwatch: CloudWatch, metric: str, value: float) -> None:
    """Wait until the newest value of a metric is this one."""
    wait_until(
        lambda: cloudwatch.last(metric) == value,
        SOON,
        f"{metric} is {value:g}, not {cloudwatch.values(metric)}",
    )


def wait_for_sum(cloudwatch: CloudWatch, metric: str, value: float) -> None:
    """Wait until so many were counted, or more."""
    wait_until(lambda: cloudwatch.sum(metric) >= value, SOON, f"{metric} comes to {value:g}")


def outlast_the_grace(cloudwatch: CloudWatch) -> None:
    """Wait until the monitor has published windows for longer than a silence may last."""
    shots = cloudwatch.count("MonitorHeartbeat") + GRACE_SECONDS // INTERVAL_SECONDS + 2
    wait_until(
        lambda: cloudwatch.count("MonitorHeartbeat") >= shots, SOON + 10, "windows are published"
    )


def begin(client: Celery, witness: Witness, *, seconds: float) -> tuple[str, str]:
    """Run a task that takes so long; return its id and the worker, when it has started."""
    uuid: str = client.tasks["proj.sleep_for"].delay(seconds).id
    return uuid, witness.wait_for(15, uuid=uuid, type="task-started")["hostname"]


def beats_since(witness: Witness, hostname: str) -> Callable[[], int]:
    """Return a function that counts the heartbeats of a name from now on."""
    before = len(witness.events(type="worker-heartbeat", hostname=hostname))
    return lambda: len(witness.events(type="worker-heartbeat", hostname=hostname)) - before


def stopwatch() -> Callable[[], float]:
    """Return a function that returns the seconds since now."""
    start = time.monotonic()
    return lambda: time.monotonic() - start
