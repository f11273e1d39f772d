"""Transports: each broker gets the subscription that suits it, and imports no other's driver."""

from __future__ import annotations

import subprocess
import sys

import pytest
from kombu import Connection, Exchange, Queue

from event_monitor.receiver.amqp import AmqpSubscription
from event_monitor.receiver.durable import DurableQueue, DurableSubscription
from event_monitor.receiver.kombu import QueueSubscription
from event_monitor.receiver.ledger import Ledger
from event_monitor.receiver.redis import RedisSubscription
from event_monitor.receiver.transports import subscription_to

QUEUE = Queue("celeryev.x", Exchange("celeryev", type="topic"), routing_key="#")
DURABLE = DurableQueue(
    name="q", prefetch=10, max_length=100, expires_seconds=60.0, ledger=Ledger(10)
)


@pytest.mark.parametrize(
    ("url", "durable", "subscription_class"),
    [
        ("redis://nowhere.invalid/0", None, RedisSubscription),
        ("rediss://nowhere.invalid/0", None, RedisSubscription),
        ("redis+socket:///nowhere.sock", None, RedisSubscription),
        ("sentinel://nowhere.invalid/0", None, RedisSubscription),
        ("amqp://nowhere.invalid//", None, AmqpSubscription),
        ("amqps://nowhere.invalid//", None, AmqpSubscription),
        ("pyamqp://nowhere.invalid//", None, AmqpSubscription),
        ("amqp://nowhere.invalid//", DURABLE, DurableSubscription),
        ("memory://", None, QueueSubscription),
        ("filesystem://", None, QueueSubscription),
    ],
)
def test_the_subscription_suits_the_broker_and_connects_to_nothing_yet(
    url: str, durable: DurableQueue | None, subscription_class: type
) -> None:
    subscription = subscription_to(
        Connection(url), queue=QUEUE, on_invalid=lambda _error: None, durable=durable
    )

    assert type(subscription) is subscription_class
    subscription.close()


def test_choosing_imports_no_driver() -> None:
    """`check` and `status` only ask whether there are events at all."""
    code = (
        "import sys, event_monitor.receiver.transports; "
        "print(sorted({'redis', 'hiredis', 'event_monitor.receiver.amqp'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
