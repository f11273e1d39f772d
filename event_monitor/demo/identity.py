"""Identity: what makes one demo its own: its name, folder and broker, and nothing shared."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LONG_QUEUE", "REGION", "WORK_QUEUE", "Run"]

REGION = "us-east-1"  # of CloudWatch and SQS on loopback

WORK_QUEUE = "work"  # both workers take from it
LONG_QUEUE = "long"  # only the worker that will be killed does

_POLL_SECONDS = 0.05  # of the embedded broker; its default of 1 s would show in every queue time


@dataclass(frozen=True, slots=True)
class Run:
    """One demo. It reaches the workers and the monitor through environment variables."""

    name: str  # unique; every queue, exchange and key on the broker begins with it
    pid: int  # of the demo's own process
    folder: Path
    broker: str | None = None  # None: the embedded one, files in `folder`

    @classmethod
    def new(cls, folder: Path, *, broker: str | None) -> Run:
        """Return a run with a name that nobody else has."""
        return cls(f"event-monitor-demo-{secrets.token_hex(4)}", os.getpid(), folder, broker)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Run:
        """Return the run this process belongs to; raise ``KeyError`` if it belongs to none."""
        return cls(
            environ["DEMO_RUN"],
            int(environ["DEMO_PID"]),
            Path(environ["DEMO_FOLDER"]),
            environ["DEMO_BROKER"] or None,
        )

    @property
    def environ(self) -> dict[str, str]:
        """The variables that ``from_environ`` reads."""
        return {
            "DEMO_RUN": self.name,
            "DEMO_PID": str(self.pid),
            "DEMO_FOLDER": str(self.folder),
            "DEMO_BROKER": self.broker or "",
        }

    @property
    def ledger(self) -> Path:
        """The file in which the producer and the tasks record what they do."""
        return self.folder / "ledger"

    def queue(self, name: str) -> str:
        """Return the full name of a queue."""
        return f"{self.name}.{name}"

    @property
    def is_over_sqs(self) -> bool:
        """Whether the broker is SQS, so that an SQS queue carries the events."""
        return bool(self.broker) and str(self.broker).startswith("sqs://")

    @property
    def event_queue(self) -> str:
        """The SQS queue of events, which takes no dots in its name."""
        return f"{self.name}-events"

    @property
    def event_exchange(self) -> str:
        """The exchange of the events of workers and producer."""
        return f"{self.name}.events"

    @property
    def control_exchange(self) -> str:
        """The exchange of remote control; kombu appends `.pidbox`."""
        return f"{self.name}.control"

    @property
    def configuration(self) -> dict[str, object]:
        """Celery's configuration, the same for producer, workers and monitor."""
        return {
            **self._broker_location,
            "broker_transport_options": self.transport_options,
            # Names of our own: on a shared broker the demo and others do not see each other.
            "task_default_queue": self.queue(WORK_QUEUE),
            "event_exchange": self.event_exchange,
            "event_queue_prefix": self.event_exchange,
            "control_exchange": self.control_exchange,
            "task_send_sent_event": True,
            "task_ignore_result": True,  # the ledger says how a task ended, not a result backend
            "worker_prefetch_multiplier": 1,
            "broker_connection_retry_on_startup": True,
        }

    @property
    def transport_options(self) -> dict[str, object]:
        """Options of kombu's transport: where the files are, or the prefix of our Redis keys."""
        if not self.broker:
            folder = str(self.folder / "broker")
            return {
                "data_folder_in": folder,
                "data_folder_out": folder,
                "control_folder": folder,
                "polling_interval": _POLL_SECONDS,
            }
        if self.broker.startswith(("redis", "sentinel")):
            return {"global_keyprefix": f"{self.name}:"}
        if self.is_over_sqs:
            return {
                "region": REGION,
                "is_secure": False,
                "polling_interval": _POLL_SECONDS,
                "wait_time_seconds": 1,  # long polls that end sooner when a worker stops
                # The last poll of a worker that is killed still takes a message out of sight.
                "visibility_timeout": 12,
            }
        return {}

    @property
    def _broker_location(self) -> dict[str, object]:
        if self.broker:
            return {"broker_url": self.broker}
        return {
            "broker_url": "filesystem://localhost",
            "broker_transport": "event_monitor.demo.broker:Transport",
        }
