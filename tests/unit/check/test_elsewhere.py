"""Elsewhere: in which way the place of others is another one than ours."""

from __future__ import annotations

import pytest

from event_monitor.check.elsewhere import Address, Place, address_of

OWN = Address(prefix="", database=0, exchange="celeryev")


@pytest.mark.parametrize(
    ("topic", "address"),
    [
        ("/0.celeryev/worker.heartbeat", OWN),
        ("prod:/3.celeryev/worker.online", Address("prod:", 3, "celeryev")),
        ("/12.my.events/worker.heartbeat", Address("", 12, "my.events")),
        ("celeryev/worker.heartbeat", Address("", None, "celeryev")),  # fanout_prefix=False
        ("/0.celeryev/task.multi", None),
        ("news", None),
    ],
)
def test_a_channel_tells_database_prefix_and_exchange(topic: str, address: Address | None) -> None:
    assert address_of(topic) == address


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (OWN, None),
        (Address("", 0, None), None),  # known by its keys: they do not tell the exchange
        (
            Address("", 3, "celeryev"),
            Place("in database 3", "a broker URL that ends in /3"),
        ),
        (
            Address("prod:", 0, "other"),
            Place(
                "under the key prefix 'prod:' on the exchange 'other'",
                "--transport-option global_keyprefix=prod: and --event-exchange other",
            ),
        ),
        (
            Address("", None, "celeryev"),
            Place(
                "without a database in their channels",
                "--transport-option fanout_prefix=false",
            ),
        ),
    ],
)
def test_only_what_differs_is_named(address: Address, place: Place | None) -> None:
    """With the option that makes up for it."""
    assert address.other_than(OWN) == place
