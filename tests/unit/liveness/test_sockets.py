"""Sockets: the notes of monitors that can write nowhere, and of whoever binds names like theirs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from event_monitor.liveness.notes import own_name
from event_monitor.liveness.sockets import NoteSocket, find_sockets, read_sockets
from event_monitor.testing import FakeClock

TICK = 0.05  # seconds


class Ticking(FakeClock):
    """A clock that goes on whenever it is read."""

    def monotonic(self) -> float:
        self.advance(TICK)
        return super().monotonic()


@pytest.fixture
def silent(request: pytest.FixtureRequest) -> Iterator[list[tuple[str, str]]]:
    """Sockets that let one connection wait, and never answer."""
    names = [(own_name(), f"{request.node.name}-{number:03}") for number in range(150)]
    with ExitStack() as stack:
        for owner, name in names:
            bound = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            bound.bind(f"\0{owner}/{name}")
            bound.listen(0)
        yield names


def test_those_who_never_answer_share_one_deadline(silent: list[tuple[str, str]]) -> None:
    """However many they are: the note of a monitor among them is read, and then it is enough."""
    clock = Ticking()
    begun = clock.monotonic()
    monitor = NoteSocket("test-sockets-monitor")
    monitor.show(b'{"at": 1}')
    found = [*silent, (own_name(), "test-sockets-monitor")]

    notes = read_sockets(found, clock=clock)

    monitor.close()
    assert notes == {(own_name(), "test-sockets-monitor"): {"at": 1}}
    assert clock.monotonic() - begun < 2.5


def test_a_socket_whose_queue_is_full_does_not_hold_up_the_others(
    silent: list[tuple[str, str]],
) -> None:
    """Nobody accepts there, and others have connected before us."""
    with ExitStack() as stack:
        for owner, name in silent[:3] * 3:
            full = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            full.setblocking(False)
            full.connect_ex(f"\0{owner}/{name}")

        assert read_sockets(silent[:3], clock=Ticking()) == {}


def test_no_more_than_a_hundred_are_looked_into(
    silent: list[tuple[str, str]], request: pytest.FixtureRequest
) -> None:
    """Anybody may bind thousands."""
    assert find_sockets(f"{own_name()}/{request.node.name}-*") == tuple(silent[:100])


def test_a_note_that_is_too_long_is_none() -> None:
    """It is not read to its end."""
    monitor = NoteSocket("test-sockets-long")
    monitor.show(b'{"at": 1}' + b" " * 10_000)

    assert read_sockets([(own_name(), "test-sockets-long")], clock=Ticking()) == {}
    monitor.close()
