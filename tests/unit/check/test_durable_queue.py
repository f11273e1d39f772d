"""Durable queue: what is said without a broker. Integration tests ask RabbitMQ itself."""

from __future__ import annotations

import socket

from celery import Celery

from event_monitor.check import Finding
from event_monitor.check.durable_queue import examine_durable_queue
from event_monitor.settings import Settings

DURABLE = Settings(durable_queue="monitor", state_dir="/state")


def examined(broker: str, settings: Settings = DURABLE) -> Finding | None:
    return examine_durable_queue(Celery("proj", broker=broker, set_as_current=False), settings)


def test_where_none_is_wanted_nothing_is_said() -> None:
    assert examined("memory://", Settings()) is None


def test_a_broker_that_keeps_no_events_is_not_ready() -> None:
    """As `run` refuses it, too."""
    found = examined("redis://127.0.0.1/0")

    assert found is not None
    assert (found.name, found.status) == ("durable queue", "failed")
    assert found.message == "it needs RabbitMQ: other brokers keep no events"


def test_what_is_needed_is_named_where_it_cannot_be_tried() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = examined(f"amqp://guest@127.0.0.1:{unused.getsockname()[1]}//")

    assert found is not None
    assert found.status == "failed"
    assert found.message.startswith("'monitor' cannot be used: ")
    assert found.remedy == (
        "The monitor has to configure, write (to bind it) and read the queue 'monitor', and to "
        "read the exchange 'celeryev'."
    )
