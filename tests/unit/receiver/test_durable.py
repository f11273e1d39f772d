"""Durable: what was received is counted once, also when the connection ends in between."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import pytest
from kombu import Connection, Exchange, Queue

from event_monitor.receiver.amqp import AmqpChannel
from event_monitor.receiver.amqp_frames import ServerClosedError
from event_monitor.receiver.bulk import BulkReader
from event_monitor.receiver.durable import DurableQueue, DurableSubscription
from event_monitor.receiver.ledger import Ledger, digest_of

from .test_amqp_frames import delivery

CLOSED = ServerClosedError("the server is going down")


@pytest.fixture
def durable() -> DurableQueue:
    return DurableQueue(
        name="q", prefetch=10, max_length=100, expires_seconds=60.0, ledger=Ledger(10)
    )


def subscription(durable: DurableQueue) -> DurableSubscription:
    return DurableSubscription(
        Connection("amqp://nowhere.invalid//"),
        queue=Queue("events", Exchange("celeryev")),
        on_invalid=lambda _error: None,
        durable=durable,
    )


def test_what_came_while_connecting_is_handed_over_though_the_connection_is_gone(
    durable: DurableQueue,
) -> None:
    """It came with the answer to our last question, and the server closed right after it."""
    one = subscription(durable)
    one._take(delivery(b"event"))
    one._frames.ended = CLOSED

    reading = one.read(0.0)
    assert (reading.bodies, reading.ack_token is not None) == ([b"event"], True)
    with pytest.raises(ServerClosedError):
        one.read(0.0)


def test_what_was_never_handed_over_counts_when_it_is_delivered_again(
    durable: DurableQueue,
) -> None:
    """A message is in the ledger from when it is handed over, as one that was counted."""
    subscription(durable)._take(delivery(b"event"))
    assert digest_of(b"event") not in durable.ledger

    again = subscription(durable)
    again._take(delivery(b"event", again=True))
    assert again.read(0.0).bodies == [b"event"]
    assert digest_of(b"event") in durable.ledger

    third = subscription(durable)
    third._take(delivery(b"event", again=True))
    third._frames.ended = CLOSED
    with pytest.raises(ServerClosedError):
        third.read(0.0)


def test_a_subscription_is_full_until_something_is_acknowledged(durable: DurableQueue) -> None:
    """RabbitMQ sends no more than may be unacknowledged: silence is no evidence then."""
    one = subscription(durable)
    acks = SimpleNamespace(basic_ack=lambda *_arguments, **_options: None)
    one._channel = cast("AmqpChannel", acks)
    one._reader = cast("BulkReader", SimpleNamespace(writing=nullcontext))
    for tag in range(1, 11):
        assert not one.is_full
        one._take(delivery(b"event %d" % tag, tag=tag))
    assert one.is_full

    token = one.read(0.0).ack_token
    assert token is not None
    one.acknowledge(token)
    assert not one.is_full
