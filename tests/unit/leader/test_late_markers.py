"""Late markers: where a window should have ended, heard after the leader's clock has ended it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from event_monitor.events import OWN_EVENT, OwnEvent
from event_monitor.snapshot import Role
from event_monitor.testing import FakeClock

from .monitors import Broker, Monitor, Start, Stream


class Delay:
    """Keeps what is sent through it until it is ``let_go``; to the sender that may be an error."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._kept: list[OwnEvent] = []
        self.fails = False

    def send(self, **fields: object) -> None:
        self._kept.append(OwnEvent(type=OWN_EVENT, **fields))  # type: ignore[arg-type]
        if self.fails:
            raise ConnectionError("blocked")

    def let_go(self, times: int = 1) -> None:
        for monitor in self._stream.monitors:
            monitor.waiting += times * [event for event in self._kept if event.what == "cut"]
        self._stream.deliver()


@pytest.fixture
def delay(stream: Stream) -> Delay:
    return Delay(stream)


@contextmanager
def delayed(monkeypatch: pytest.MonkeyPatch, stream: Stream, delay: Delay) -> Iterator[None]:
    """What is sent now comes late."""
    monkeypatch.setattr(stream, "now", delay.send)
    yield
    monkeypatch.setattr(stream, "now", stream.send_now)


def by_clock(leader: Monitor) -> None:
    """End a window by the clock, as its marker does not come back."""
    if leader.windows.at_boundary() == "marker":
        leader.windows.give_up_marker()
    leader.end()


@pytest.mark.parametrize("fails", [False, True])
def test_a_marker_that_comes_twice_ends_one_window(
    start: Start, stream: Stream, delay: Delay, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """As it was sent again, or somebody repeats it: two windows by one id would be one too few."""
    leader, _ = start("a"), start("b")
    leader.boundary()
    delay.fails = fails
    with delayed(monkeypatch, stream, delay):
        by_clock(leader)

    delay.let_go(times=2)

    windows = [label.window for label in leader.labels if label.window]
    assert len(windows) == len(set(windows))


def test_what_the_clock_ended_before_is_in_doubt_for_the_next_leader(
    start: Start, stream: Stream, clock: FakeClock, delay: Delay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose window at the marker has that in it, and it was sent."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    with delayed(monkeypatch, stream, delay):
        by_clock(leader)
    assert leader.send(leader.labels[-1].window) == "send"
    delay.let_go()
    window = standby.labels[-1].window
    assert leader.labels[-1].window == window

    leader.die()
    standby.look()
    clock.advance(10)
    standby.look()

    assert standby.send(window) == "doubt"


def test_the_next_leader_keeps_its_window_where_a_marker_comes_of_one_before(
    start: Start,
    stream: Stream,
    broker: Broker,
    clock: FakeClock,
    delay: Delay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when RabbitMQ's alarm ends; or where somebody makes one up."""
    before, leader = start("a"), start("b")
    before.boundary()
    delay.fails = True
    with delayed(monkeypatch, stream, delay):
        assert before.boundary() == "clock"
        before.leader.give_way()
        before.look()
        leader.look()
        clock.advance(10)
        leader.look()
        before.look()
        assert broker.holder is not None
        assert leader.leader.role is Role.LEADER
        assert leader.boundary() == "clock"
    seen = len(leader.labels)

    delay.let_go()

    assert len(leader.labels) > seen
    assert all(label.is_kept for label in leader.labels[seen:])


def test_the_lock_is_asked_anew_for_each_attempt_to_send_what_nobody_was_told_of(
    start: Start, stream: Stream, broker: Broker, clock: FakeClock
) -> None:
    """The answer to the one before says nothing of a network that swallows all since."""
    leader, _ = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    clock.advance(1)
    stream.error = ConnectionError("blocked")
    assert not leader.windows.begin(window)
    leader.look()
    clock.advance(1)
    assert leader.windows.begin(window)
    leader.windows.end(window, accepted=False)  # CloudWatch refused it
    clock.advance(5)
    leader.look()

    clock.advance(3)
    broker.error = ConnectionError("timed out")
    leader.look()

    assert not leader.windows.begin(window)
