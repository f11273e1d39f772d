"""Old versions: monitors that know no lock are told by how they ask the workers."""

from __future__ import annotations

import json

import pytest

from event_monitor.broker.control import SENDER_HEADER
from event_monitor.leader.old_versions import OldVersions
from event_monitor.testing import FakeClock

ROUND = ("active", "reserved", "scheduled", "revoked", "stats", "active_queues")


def ask(
    versions: OldVersions,
    *,
    expires: float,
    commands: tuple[str, ...] = ROUND,
    key: str = "an-inbox",
    destination: list[str] | None = None,
    headers: dict[str, object] | None = None,
) -> None:
    """Ask the workers, as old versions do."""
    for command in commands:
        body = {
            "method": command,
            "arguments": {},
            "destination": destination,
            "ticket": f"{expires}-{command}",
            "reply_to": {"exchange": "reply.celery.pidbox", "routing_key": key},
        }
        versions.note_command(json.dumps(body), {"clock": 1, "expires": expires} | (headers or {}))


@pytest.fixture
def versions(clock: FakeClock) -> OldVersions:
    return OldVersions(clock=clock)


def test_one_that_asks_again_is_noticed_until_it_has_gone(
    versions: OldVersions, clock: FakeClock
) -> None:
    """Once may have been somebody who looked at the status."""
    ask(versions, expires=100.0)
    assert not versions.are_here

    clock.advance(60)
    ask(versions, expires=160.0)
    assert versions.are_here

    clock.advance(60)
    ask(versions, expires=220.0)
    clock.advance(119)
    assert versions.are_here
    clock.advance(1)
    assert not versions.are_here


def test_one_that_asks_seldom_is_noticed_all_the_while(
    versions: OldVersions, clock: FakeClock
) -> None:
    """Its interval shows how long to wait for the next round."""
    ask(versions, expires=100.0)
    for _ in range(3):
        clock.advance(300)
        ask(versions, expires=100.0)
        assert versions.are_here
    clock.advance(599)
    assert versions.are_here

    clock.advance(1)
    assert not versions.are_here


def test_two_rounds_long_apart_are_two_people_who_looked(
    versions: OldVersions, clock: FakeClock
) -> None:
    """Each at the status."""
    ask(versions, expires=100.0)
    clock.advance(600)
    ask(versions, expires=700.0)
    assert not versions.are_here


def test_this_version_says_that_it_asks(versions: OldVersions) -> None:
    """So it is no older one."""
    for expires in (100.0, 160.0):
        ask(versions, expires=expires, headers={SENDER_HEADER: "celery-event-monitor"})
    assert not versions.are_here


def test_others_ask_otherwise(versions: OldVersions) -> None:
    """For fewer things, or each with a time of its own, or some workers only."""
    for start in (100.0, 160.0):
        ask(versions, expires=start, commands=("stats", "active_queues"))
        for number, command in enumerate(ROUND):
            ask(versions, expires=start + number / 1000, commands=(command,))
        ask(versions, expires=start + 1, destination=["w@here"])
        for number, command in enumerate(ROUND):
            ask(versions, expires=start + 2, commands=(command,), key=f"inbox-{number}")
        ask(versions, expires=0)  # who waits for ever
        ask(versions, expires=start + 3, key="k" * 256)  # no name that a queue can have
    assert not versions.are_here


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff", {"expires": 1.0}),
        ("[" * 100_000, {"expires": 1.0}),
        ('{"method": 5}', {"expires": 1.0}),
        ('{"method": "stats", "reply_to": 7}', {"expires": 1.0}),
        ('{"method": "stats"}', {"expires": 1.0}),
        ('{"method": "stats"}', {"expires": None}),
        ('{"method": "stats"}', {}),
    ],
)
def test_whatever_is_sent_is_taken(
    versions: OldVersions, body: bytes | str, headers: dict[str, object]
) -> None:
    """Anybody who may send commands can send these."""
    versions.note_command(body, headers)
    assert not versions.are_here
