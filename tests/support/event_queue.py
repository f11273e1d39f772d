"""Event queue: SQS on moto, and workers that run nothing and send every event in its messages."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import boto3
import msgspec
from celery import uuid
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from event_monitor.over_sqs.wire import Header, encode

from .cloudwatch import REGION

TASK = "synthetic.task"
FREQ_SECONDS = 1.0
_BATCH = 24  # task events of one body, as real workers send them
_BODIES = 12  # of one message


def sqs_client(url: str) -> Any:
    """Return boto3's client of that endpoint."""
    return boto3.client(
        "sqs",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def make_queue(client: Any, name: str) -> str:
    """Make a queue, new; return its URL."""
    fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url: str = client.create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
    return url


class QueueWorker:
    """One worker process whose events go through ``send``, of which the truth is known."""

    def __init__(
        self,
        send: Callable[[str], object],
        hostname: str = "w1@synthetic",
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.hostname = hostname
        self.sender = os.urandom(6).hex()
        self.processed = self.succeeded = self.dropped = 0
        self.sent = 0  # messages
        self._send = send
        self._clock = clock
        self._bodies: list[bytes] = []
        self._events: list[dict[str, object]] = []
        self.worker_event("worker-online")

    def start(self, tasks: int = 1) -> list[str]:
        """Receive and start tasks; return their ids."""
        uuids = [uuid() for _ in range(tasks)]
        for task in uuids:
            self._add("task-received", uuid=task, name=TASK)
            self._add("task-started", uuid=task)
        self.processed += tasks
        return uuids

    def succeed(self, uuids: Sequence[str]) -> None:
        """End these tasks."""
        for task in uuids:
            self._add("task-succeeded", uuid=task, runtime=0.25)
        self.succeeded += len(uuids)

    def run(self, tasks: int = 1) -> None:
        """Start and end tasks."""
        self.succeed(self.start(tasks))

    def worker_event(self, type_: str = "worker-heartbeat") -> None:
        """Send what waits, and after it an event of the worker's own."""
        self._end_body()
        fields = {
            "hostname": self.hostname,
            "pid": 7,
            "freq": FREQ_SECONDS,
            "active": self.processed - self.succeeded,
            "processed": self.processed,
            "loadavg": (0.5, 0.4, 0.3),
            "timestamp": self._clock(),
            "type": type_,
        }
        self._bodies.append(msgspec.json.encode(fields))
        self.flush()

    def flush(self) -> None:
        """Send what waits."""
        self._end_body()
        bodies, self._bodies = self._bodies, []
        if bodies:
            header = Header(sender=self.sender, seq=self.sent, dropped=self.dropped)
            self.sent += 1
            self._send(encode(header, bodies))

    def _add(self, type_: str, **fields: object) -> None:
        event = {"hostname": self.hostname, "pid": 7, "timestamp": self._clock(), "type": type_}
        self._events.append({**event, **fields})
        if len(self._events) >= _BATCH:
            self._end_body()
            if len(self._bodies) >= _BODIES:
                self.flush()

    def _end_body(self) -> None:
        if self._events:
            self._bodies.append(msgspec.json.encode(self._events))
            self._events = []


def in_flight_in(name: str) -> list[Any]:
    """Return the messages of that queue that are with a reader: moto's own."""
    queue = sqs_backends[DEFAULT_ACCOUNT_ID][REGION].queues[name]
    return [message for message in tuple(queue._messages) if not message.visible]


def show_again(messages: Sequence[Any]) -> None:
    """Let the time pass for which SQS keeps these messages out of sight."""
    for message in messages:
        message.visible_at = 0.0
