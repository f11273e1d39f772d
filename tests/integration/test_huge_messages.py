"""Huge messages: one that no worker sends fills no memory, and costs no other event."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery.events.event import get_exchange
from kombu import Producer

from ..support.cloudwatch import CloudWatch
from ..support.processes import Process, Processes
from ..support.waiting import wait_until

HUGE = 100 << 20
MOST_BYTES = 256e6


def peak_bytes(process: Process) -> int:
    """The highest resident memory that a process has had, Linux only."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("only Linux tells the peak of another process")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1_024


@pytest.fixture
def generous(broker: str) -> Iterator[None]:
    """A Redis that does not cut off a subscriber who has so much to read."""
    if not broker.startswith("redis"):
        yield
        return
    limit = "client-output-buffer-limit"
    with redis.Redis.from_url(broker) as server:
        before = server.config_get(limit)[limit]
        server.config_set(limit, "pubsub 0 0 0")
        yield
        server.config_set(limit, before)


@pytest.mark.usefixtures("generous")
def test_a_huge_message_is_refused_before_it_fills_memory(
    processes: Processes, client: Celery, cloudwatch: CloudWatch
) -> None:
    """Counted as one invalid event; the events after it are counted as ever."""
    # Given
    monitor = processes.monitor("run", interval_seconds=1)

    # When
    with client.connection_for_write() as connection:
        producer = Producer(connection.channel(), exchange=get_exchange(connection))
        producer.publish(
            b'{"type": "' + b"x" * HUGE,
            routing_key="task.multi",
            content_type="application/json",
            content_encoding="utf-8",
        )
    with client.events.default_dispatcher(hostname="w1@huge") as dispatcher:
        dispatcher.send("worker-heartbeat", freq=2.0)

    # Then
    wait_until(lambda: cloudwatch.sum("EventsInvalid") == 1, 60, "it is refused")
    wait_until(lambda: cloudwatch.last("WorkersOnline") == 1, 60, "the next event is counted")
    assert cloudwatch.sum("BrokerDisconnections") == 0
    assert peak_bytes(monitor) < MOST_BYTES
