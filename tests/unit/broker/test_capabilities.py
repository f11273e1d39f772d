"""Capabilities: what goes over which transport is known without connecting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kombu import Connection

from event_monitor.broker.capabilities import answers_remote_control, carries_events


@pytest.mark.parametrize(
    ("url", "events", "remote_control"),
    [
        ("redis://nowhere.invalid", True, True),
        ("amqp://nowhere.invalid", True, True),
        ("memory://", True, True),
        ("sqs://", False, False),
        ("azureservicebus", True, False),  # no fanout: its workers take no commands either
        ("gcpubsub", False, True),
    ],
)
def test_events_and_remote_control_are_two_questions(
    url: str, events: bool, remote_control: bool
) -> None:
    connection: Any = Connection(url) if "://" in url else with_driver(url)

    assert carries_events(connection) is events
    assert answers_remote_control(connection) is remote_control


@pytest.mark.parametrize("url", ["redis://nowhere.invalid", "amqp://nowhere.invalid"])
def test_asking_makes_no_transport(url: str) -> None:
    """One of Redis holds a descriptor until the garbage collector finds it."""
    connection: Any = Connection(url)
    assert carries_events(connection)
    assert answers_remote_control(connection)
    assert connection._transport is None


def test_nobody_is_asked_on_sqs_even_where_sns_lends_it_a_fanout() -> None:
    """Each question would leave a queue of replies behind."""
    connection: Any = with_driver("sqs", "direct", "fanout")

    assert not answers_remote_control(connection)


def with_driver(driver: str, *exchange_types: str) -> SimpleNamespace:
    """Return a connection of a transport whose library is not installed here."""
    types = {"azureservicebus": ("direct", "topic"), "gcpubsub": ("direct", "fanout")}
    implements = SimpleNamespace(exchange_type=exchange_types or types[driver])
    transport = SimpleNamespace(driver_type=driver, implements=implements)
    return SimpleNamespace(get_transport_cls=lambda: transport)
