"""Cut off: what becomes of the windows in which a monitor, or all of them, lost the broker."""

from __future__ import annotations

from event_monitor.snapshot import Role
from event_monitor.testing import FakeClock

from .monitors import Broker, Monitor, Start, Stream


def go_away(broker: Broker, *monitors: Monitor) -> None:
    """The broker ends, and with it every connection and the lease."""
    for monitor in monitors:
        monitor.windows.on_connection(False)
    broker.error = ConnectionError("gone")


def come_back(broker: Broker, clock: FakeClock, *monitors: Monitor) -> None:
    """It starts again, empty; they connect one after the other, and the first gets the lease."""
    broker.error = broker.holder = None
    for monitor in monitors:
        monitor.connect()
    for _ in range(2):
        clock.advance(6)
        for monitor in monitors:
            monitor.look()


def test_a_monitor_alone_has_no_doubt_after_an_outage(
    start: Start, broker: Broker, clock: FakeClock
) -> None:
    """Though its lease ended, and it hears the events before the lock answers."""
    alone = start("a")
    alone.boundary()
    go_away(broker, alone)
    clock.advance(50)
    alone.look()
    alone.boundary()
    clock.advance(20)
    come_back(broker, clock, alone)

    assert [label.window for label in alone.labels if label.window] == []


def test_a_standby_keeps_what_it_has_of_a_window_in_a_long_outage(
    start: Start, broker: Broker, clock: FakeClock
) -> None:
    """The leader takes it for one that has the same, and may not be the next to lead."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    before = len(standby.labels)
    go_away(broker, leader, standby)
    for _ in range(3):
        clock.advance(60)
        leader.boundary()
        standby.boundary()

    kept = standby.labels[before]
    assert kept.is_kept
    assert kept.window
    # Nothing came after that: it is nobody's.
    assert [label.window for label in standby.labels[before + 1 :] if label.is_kept] == []

    # And when it leads, it sends that, and the other does not
    come_back(broker, clock, standby, leader)
    assert standby.leader.role is Role.LEADER
    assert not leader.windows.is_ours(leader.labels[before].window)
    assert standby.send(kept.window) == "send"


def test_a_standby_shows_that_it_is_alive_while_the_broker_is_away(
    start: Start, broker: Broker, clock: FakeClock
) -> None:
    """By a shot in each interval, after the first two."""
    _, standby = start("a"), start("b")
    go_away(broker, standby)
    hows = []
    for _ in range(5):
        clock.advance(60)
        hows.append(standby.boundary())

    assert hows[2:] == ["clock"] * 3


def test_who_was_back_before_the_leader_sends_what_came_before_it(
    start: Start, stream: Stream, broker: Broker, clock: FakeClock
) -> None:
    """The leader has but the end of that window, which counts twice, and so is in doubt."""
    first, second = start("a"), start("b")
    second.boundary()
    go_away(broker, first, second)
    stream.monitors = [first]
    broker.error = broker.holder = None
    first.windows.on_connection(True)
    first.windows.speak()
    stream.deliver()
    for _ in range(3):  # until the lock is asked, the other is back, and quicker
        clock.advance(1)
    second.connect()
    for _ in range(2):
        clock.advance(6)
        second.look()
        first.look()
    stream.deliver()
    assert second.leader.role is Role.LEADER
    window = second.labels[-1].window
    assert first.labels[-1].window == window

    second.send(window)
    second.send(window)

    assert window not in first.settled
    assert first.windows.is_ours(window)
    assert first.windows.admit(window) == "doubt"


def test_who_comes_back_is_told_of_a_window_that_another_has_ended_by_coming(
    start: Start, stream: Stream, clock: FakeClock
) -> None:
    """Else it sends its part of that again, when the leader dies."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    standby.cut_off()
    start("c")
    clock.advance(1)
    assert leader.send(leader.labels[-1].window) == "send"
    standby.connect()
    window = standby.labels[-1].window
    assert leader.labels[-1].window == window

    assert leader.send(window) == "send"
    leader.windows.speak()
    stream.deliver()

    assert window in standby.settled


def test_what_a_newcomer_counts_while_the_leader_is_away_it_sends(
    start: Start, stream: Stream, clock: FakeClock
) -> None:
    """The leader comes back from a cut that the newcomer never saw."""
    leader = start("a")
    leader.boundary()
    leader.cut_off()  # its lease lives on
    clock.advance(3)
    leader.look()
    newcomer = start("b")
    clock.advance(20)
    leader.look()
    newcomer.look()
    leader.connect()
    newcomer.look()
    stream.deliver()
    window = newcomer.labels[-1].window
    assert newcomer.labels[-1].is_kept

    assert newcomer.windows.is_ours(window)
    clock.advance(60)
    leader.look()
    newcomer.look()
    leader.boundary()
    assert window not in newcomer.settled


def test_what_a_newcomer_has_of_a_window_is_the_standby_s(
    start: Start, stream: Stream, broker: Broker, clock: FakeClock
) -> None:
    """As where the leader was killed, and is back before its lease ends, and has it first."""
    # Given
    leader, standby = start("a"), start("b")
    leader.boundary()
    stream.monitors.remove(leader)
    clock.advance(3)
    standby.look()
    newcomer = start("c")
    window = newcomer.labels[0].window

    # When
    broker.holder = None
    clock.advance(6)
    for _ in range(2):
        newcomer.look()
        stream.deliver()
        standby.look()
        stream.deliver()
        clock.advance(6)

    # Then
    assert newcomer.leader.role is Role.LEADER
    assert window in newcomer.settled
    assert standby.labels[-1].window == window
    assert window not in standby.settled
    assert standby.windows.admit(window) == "send"


def test_a_standby_that_is_back_forgets_at_once_what_was_accepted(
    start: Start, stream: Stream, clock: FakeClock
) -> None:
    """The leader may die before its next cut."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    standby.cut_off()
    for _ in range(3):
        clock.advance(60)
        leader.look()
        leader.boundary()
        leader.send(leader.labels[-1].window)
        standby.boundary()
    part = [label.window for label in standby.labels if label.window and label.is_kept][-1]
    assert part not in standby.settled

    standby.connect()
    for _ in range(3):
        clock.advance(1)
        leader.look()
        standby.look()
        stream.deliver()

    assert part in standby.settled


def test_what_waits_to_be_told_does_not_keep_the_lease_from_being_renewed(
    start: Start, stream: Stream, clock: FakeClock
) -> None:
    """Where the broker takes a second or more for each event."""
    leader, _ = start("a"), start("b")
    stream.now = stream.refuse
    for number in range(4):
        clock.advance(10)
        leader.look()
        leader.windows.end(f"window {number}", accepted=True)

    def slow(**fields: object) -> None:
        clock.advance(1.5)
        stream.send_now(**fields)

    stream.now = slow
    clock.advance(3)
    leader.leader.look()
    stream.log.clear()
    for _ in range(10):
        leader.windows.speak()
        assert leader.leader.leads()
        leader.leader.look()
        clock.advance(0.5)
    assert stream.log.count("accepted") == 4
