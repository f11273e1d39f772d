"""Stage: broker, endpoint, recorder and monitor of one soak, started and stopped together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import redis

from ..support.endpoint import Endpoint
from ..support.processes import LISTENS, Process
from ..support.servers import SERVERS, RedisServer, Server
from ..support.waiting import wait_until
from .app import app
from .recording import Recording

INTERVAL_SECONDS = 4
GRACE_SECONDS = 10
BEYOND_SECONDS = 5  # a task of a stopped worker that runs this much too long was killed

SETTINGS = {
    "EVENT_MONITOR_INTERVAL": str(INTERVAL_SECONDS),
    "EVENT_MONITOR_WORKER_GRACE_SECONDS": str(GRACE_SECONDS),
    "EVENT_MONITOR_BY_TASK": "all",
    "EVENT_MONITOR_BY_WORKER": "WorkersLost,TasksOrphaned,EventsLost",
}


class CloudWatch(Endpoint):
    """The endpoint, asked also for the newest value of a series."""

    def last(self, name: str, /, **dimensions: str) -> float | None:
        """Return the newest value of a series; None if there is none."""
        series = self.series(name, **dimensions)
        return series[-1].values[-1] if series else None


@dataclass(frozen=True, slots=True)
class Stage:
    """What is there before the first worker; ``environ`` is for every process.

    ``drain_seconds``: how long the tasks of a worker that said goodbye may go on.
    """

    folder: Path
    environ: dict[str, str]
    drain_seconds: float
    cloudwatch: CloudWatch
    recording: Recording
    recorder: Process
    monitor: Process
    server: Server

    def write_down_published(self) -> None:
        """Write down what was published: a line for each datum that is not zero."""
        data = (datum for datum in self.cloudwatch.data if any(datum.values))
        lines = "".join(f"{json.dumps(asdict(datum))}\n" for datum in data)
        (self.folder / "published.jsonl").write_text(lines)

    def cut_off(self) -> int:
        """Return how many slow subscribers Redis has cut off, which then missed something."""
        if not isinstance(self.server, RedisServer):
            return 0
        with redis.Redis(port=self.server.port) as client:
            return int(client.info("stats").get("client_output_buffer_limit_disconnections", 0))


@contextmanager
def stage(folder: Path, *, broker: str, longest_task_seconds: float) -> Iterator[Stage]:
    """Start all of it, and end all of it."""
    drain_seconds = longest_task_seconds + BEYOND_SECONDS
    with ExitStack() as stack:
        server = SERVERS[broker](folder)
        stack.callback(server.stop)
        url = server.fresh_url()
        app.conf.broker_url = app.conf.broker_read_url = app.conf.broker_write_url = url
        cloudwatch = CloudWatch()
        stack.enter_context(cloudwatch)
        environ = _environ(url, cloudwatch, folder, durable=broker == "rabbitmq")
        environ["EVENT_MONITOR_WORKER_DRAIN_SECONDS"] = str(drain_seconds)
        recording = Recording(folder / "events.jsonl")
        record = ["python", "-m", "tests.soak.recorder", str(recording.path)]
        recorder = Process(record, environ, folder / "recorder.log")
        stack.callback(recorder.kill)
        # Before the monitor is there: by events of its own it finds out that it has subscribed.
        wait_until(recording.read, 60, "the recorder has subscribed")
        command = ["event-monitor", "run", "-A", "tests.soak.app"]
        monitor = Process(command, environ, folder / "monitor.log")
        stack.callback(monitor.kill)
        monitor.wait_for_output(LISTENS)
        yield Stage(
            folder, environ, drain_seconds, cloudwatch, recording, recorder, monitor, server
        )


def _environ(url: str, endpoint: Endpoint, folder: Path, *, durable: bool) -> dict[str, str]:
    """Return the environment of every process: this broker, this endpoint, nothing of ours."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "EVENT_MONITOR_", "CELERY_", "COV_"))
    }
    environ = {**inherited, **endpoint.environ, **SETTINGS, "BROKER_URL": url, "TZ": "UTC"}
    if durable:
        # RabbitMQ closes a frozen monitor's connection, and its queue goes with it: only what a
        # durable queue keeps can be counted without loss.
        environ["EVENT_MONITOR_DURABLE_QUEUE"] = "soak-monitor"
        environ["EVENT_MONITOR_STATE_DIR"] = str(folder / "state")
    return environ
