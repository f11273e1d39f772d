"""Verdicts: an impatient monitor and lively workers, so that a verdict takes seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from celery import Celery

from .cloudwatch import CloudWatch
from .processes import Process, Processes
from .waiting import wait_until
from .witness import Witness

BEAT_SECONDS = 1
GRACE_SECONDS = 4
INTERVAL_SECONDS = 1
LONG_SECONDS = 9.0  # of a task: twice the grace, and the time until somebody looks
#: Seconds. What is due shows within the grace and two windows; the rest is for a slow machine.
SOON = 100

POOLS = ("prefork", "threads", "gevent", "solo")
VERDICTS = ("WorkersLost", "TasksOrphaned", "EventsLost")

_IMPATIENT = {
    "EVENT_MONITOR_WORKER_GRACE_SECONDS": str(GRACE_SECONDS),
    "EVENT_MONITOR_WORKER_GRACE_BEATS": "2",
    "EVENT_MONITOR_PROBE_SECONDS": "1",
    "EVENT_MONITOR_BY_WORKER": ",".join(VERDICTS),
}

ByWorker = dict[str, float]


class Verdicts:
    """A monitor, the workers it watches, and what it has published about them."""

    def __init__(
        self,
        processes: Processes,
        client: Celery,
        witness: Witness,
        cloudwatch: CloudWatch,
        folder: Path,
    ) -> None:
        self._processes = processes
        self._client = client
        self._witness = witness
        self._cloudwatch = cloudwatch
        self._released = folder / "released"

    def monitor(self, **settings: object) -> Process:
        """Start ``event-monitor run`` with these settings; return when it receives events."""
        environ = {f"EVENT_MONITOR_{name.upper()}": str(value) for name, value in settings.items()}
        return self._processes.monitor(
            "run", interval_seconds=INTERVAL_SECONDS, environ={**_IMPATIENT, **environ}
        )

    def worker(
        self,
        name: str,
        *,
        pool: str = "prefork",
        heartbeats: bool = True,
        in_container: bool = False,
        wait: bool = True,
        queues: Sequence[str] = (),
    ) -> Process:
        """Start a worker that runs one task at a time (gevent more), from a queue of its name.

        Return when it is ready, or at once.
        """
        return self._processes.worker(
            name,
            pool=pool,
            concurrency=10 if pool == "gevent" else 1,
            queues=queues or (name,),
            heartbeat_seconds=BEAT_SECONDS if heartbeats else None,
            in_container=in_container,
            wait=wait,
        )

    def workers(self, *names: str, heartbeats: bool = True) -> dict[str, Process]:
        """Start workers at the same time, and return when all are ready.

        A name begins with its worker's pool, as ``solo@host1``, or else that is prefork; whose
        host is ``container`` is started in one.
        """
        pools = ((name, name.partition("@")[0]) for name in names)
        started = {
            name: self.worker(
                name,
                pool=pool if pool in POOLS else "prefork",
                heartbeats=heartbeats,
                in_container=name.endswith("@container"),
                wait=False,
            )
            for name, pool in pools
        }
        for name, worker in started.items():
            worker.wait_for_output(f"{name} ready.")
        return started

    def send(self, task: str, *args: float | str, to: str, expires: float | None = None) -> str:
        """Send a task to the worker, or workers, of that name; return its id."""
        sent = self._client.tasks[f"proj.{task}"].apply_async(args, queue=to, expires=expires)
        return str(sent.id)

    def begin(self, seconds: float, *, on: str) -> str:
        """Return the id of a task that takes so long, when it has started."""
        uuid = self.send("sleep_for", seconds, to=on)
        self._witness.wait_for(SOON, uuid=uuid, type="task-started")
        return uuid

    def hold(self, *, on: str) -> str:
        """Return the id of a task that ends when ``release`` is called, when it has started."""
        uuid = self.send("hold", str(self._released), to=on)
        self._witness.wait_for(SOON, uuid=uuid, type="task-started")
        return uuid

    def release(self) -> None:
        """Let all tasks end that are held."""
        self._released.touch()

    @property
    def found(self) -> dict[str, ByWorker]:
        """Return verdict → worker → sum, where it is not zero."""
        found = {}
        for metric in VERDICTS:
            series = self._cloudwatch.series(metric)
            by_worker = {
                dimensions[0][1]: value
                for dimensions, value in series.items()
                if dimensions and value
            }
            assert sum(by_worker.values()) == series.get((), 0)
            if by_worker:
                found[metric] = by_worker
        return found

    def wait_for_last(self, metric: str, value: float) -> None:
        """Wait until the newest value of a metric is this one."""
        wait_until(
            lambda: self._cloudwatch.last(metric) == value,
            SOON,
            f"{metric} is {value:g}, not {self._cloudwatch.values(metric)}",
        )

    def wait_for_sum(self, metric: str, value: float, *, seconds: float = SOON) -> None:
        """Wait until so many were counted, or more."""
        try:
            wait_until(lambda: self._cloudwatch.sum(metric) >= value, seconds, "")
        except AssertionError:
            counted = self._cloudwatch.sum(metric)
            raise AssertionError(
                f"{metric} came to {counted:g}, not {value:g}, in {seconds:g} s; {self.found}"
            ) from None

    def outlast_the_grace(self) -> None:
        """Wait until the monitor has published windows for longer than a silence may last."""
        count = self._cloudwatch.count
        shots = count("MonitorHeartbeat") + GRACE_SECONDS // INTERVAL_SECONDS + 2
        wait_until(lambda: count("MonitorHeartbeat") >= shots, SOON, "windows are published")

    def beats_since_now(self, name: str) -> Callable[[], int]:
        """Return a function that counts the heartbeats of a name from now on."""
        events = self._witness.events
        before = len(events(type="worker-heartbeat", hostname=name))
        return lambda: len(events(type="worker-heartbeat", hostname=name)) - before


def lines_with(process: Process, *texts: str) -> list[str]:
    """Return the lines a process has written that hold all these texts."""
    return [line for line in process.output.splitlines() if all(text in line for text in texts)]


def stopwatch() -> Callable[[], float]:
    """Return a function that returns the seconds since now."""
    start = time.monotonic()
    return lambda: time.monotonic() - start
