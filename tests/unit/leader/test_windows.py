"""Windows: several monitors on one stream end them at the same places, and one sends each."""

from __future__ import annotations

import logging

import pytest

from event_monitor.events import OWN_EVENT, OwnEvent, Past
from event_monitor.leader.open_window import Label
from event_monitor.snapshot import Role
from event_monitor.testing import FakeClock

from ...support.waiting import wait_until
from .monitors import SAME, Broker, Monitor, Start, Stream


def test_one_monitor_ends_its_windows_by_the_clock_and_tells_nobody(
    start: Start, stream: Stream
) -> None:
    """But for the event by which it joined."""
    alone = start("a")
    assert [alone.boundary(), alone.boundary()] == ["clock", "clock"]

    assert alone.labels == [Label(), Label()]
    assert stream.log == ["join"]


def test_a_standby_ends_its_windows_where_the_leader_does(start: Start) -> None:
    """From the event on by which it joined; what came before is the leader's alone."""
    leader = start("a")
    standby = start("b")
    assert (leader.leader.role, standby.leader.role) == (Role.LEADER, Role.STANDBY)
    assert leader.boundary() == "marker"
    assert standby.boundary() == "wait"
    assert leader.boundary() == "marker"

    # The window in which it joined is ended there, and nobody else holds its beginning.
    assert leader.labels[0] == Label()
    assert leader.labels[1:] == standby.labels[1:]
    assert all(label.window and label.is_kept for label in leader.labels[1:])
    # What the standby had before it joined the leader has published, or will.
    assert standby.settled == [standby.labels[0].window]


def test_a_window_costs_three_events_of_our_own(start: Start, stream: Stream) -> None:
    """However many stand by: where it ends, that it is being sent, and that it was accepted."""
    leader, *_ = start("a"), start("b"), start("c")
    stream.log.clear()
    for _ in range(5):
        leader.boundary()
        leader.send(leader.labels[-1].window)

    assert stream.log == ["cut", "sending", "accepted"] * 5


def test_what_was_accepted_is_forgotten_and_the_rest_is_sent_by_the_next(start: Start) -> None:
    """In its order, by who leads then."""
    leader, standby = start("a"), start("b")
    for _ in range(3):
        leader.boundary()
    windows = [label.window for label in leader.labels[1:]]
    assert leader.send(windows[0]) == "send"
    assert standby.send(windows[1]) == "not"
    leader.die()
    standby.leader.look()

    assert standby.settled[1:] == windows[:1]
    assert [standby.send(window) for window in windows[1:]] == ["send", "send"]


def test_a_window_that_was_being_sent_at_the_end_is_in_doubt(
    start: Start, clock: FakeClock
) -> None:
    """Once, and only after its leader has had the time to say more."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    assert leader.windows.begin(window)
    standby.read()
    leader.die()
    standby.leader.look()

    assert standby.send(window) == "wait"
    clock.advance(5)
    standby.leader.look()
    assert [standby.send(window), standby.send(window)] == ["doubt", "send"]


def test_a_late_answer_ends_the_doubt(start: Start) -> None:
    """From a leader that was stopped, and goes on."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    leader.windows.begin(window)
    standby.leader.give_way()
    leader.windows.end(window, accepted=True)
    standby.read()

    assert window in standby.settled


def test_what_a_leader_did_not_send_after_all_is_in_no_doubt(start: Start) -> None:
    """It gave way as it was about to."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    leader.leader.give_way()
    assert not leader.windows.begin(window)
    standby.read()
    leader.leader.look()
    standby.leader.look()

    assert standby.send(window) == "send"


def test_what_was_refused_is_in_no_doubt(start: Start) -> None:
    """Nothing of it has arrived."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    leader.windows.begin(window)
    leader.windows.end(window, accepted=False)
    standby.read()
    leader.die()
    standby.leader.look()

    assert standby.send(window) == "send"


def test_who_was_away_learns_from_the_next_marker_what_was_accepted(start: Start) -> None:
    """And keeps what was not."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    leader.boundary()
    first, second = (label.window for label in leader.labels[1:])
    # It is not connected while the first is accepted
    standby.windows.on_connection(False)
    leader.send(first)
    standby.waiting.clear()
    leader.boundary()
    standby.waiting.clear()
    standby.connect()
    leader.boundary()

    assert first in standby.settled
    assert second not in standby.settled


def test_a_standby_keeps_no_window_that_its_leader_began_elsewhere(
    start: Start, clock: FakeClock
) -> None:
    """The leader, which has not heard of it for long, ended windows by its clock meanwhile."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    clock.advance(3_600)
    leader.leader.look()
    assert leader.boundary() == "clock"
    standby.boundary()
    standby.windows.speak()
    leader.read()
    assert leader.boundary() == "marker"
    assert standby.labels[-1] == Label(is_kept=False)

    assert leader.boundary() == "marker"
    assert standby.labels[-1] == leader.labels[-1]


def test_a_leader_that_hears_nothing_lets_a_standby_lead(start: Start, clock: FakeClock) -> None:
    """It is not the broker that is away: the lease is the leader's all the while."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    leader.windows.on_connection(False)
    clock.advance(1)
    leader.look()
    standby.look()
    assert (leader.leader.role, standby.leader.role) == (Role.STANDBY, Role.LEADER)

    # It has the whole window, of which the other has a part
    assert standby.boundary() == "marker"
    assert standby.labels[-1].is_kept
    assert leader.send(standby.labels[-1].window) == "not"
    assert standby.send(standby.labels[-1].window) == "send"


def test_a_broker_that_is_away_takes_no_leader_away(
    start: Start, broker: Broker, clock: FakeClock
) -> None:
    """Somebody has to say that there is none."""
    leader, standby = start("a"), start("b")
    broker.error = ConnectionError("gone")
    for monitor in (leader, standby):
        monitor.windows.on_connection(False)
        clock.advance(1)
        monitor.look()

    assert (leader.leader.role, standby.leader.role) == (Role.LEADER, Role.STANDBY)


def test_of_two_that_hear_nothing_one_leads_all_the_same(start: Start, clock: FakeClock) -> None:
    """Each gives way once: the other may be better off."""
    monitors = start("a"), start("b")
    for monitor in monitors:
        monitor.windows.on_connection(False)
    roles = []
    for _ in range(10):
        clock.advance(1)
        for monitor in monitors:
            monitor.look()
        roles.append([monitor.leader.role for monitor in monitors])

    assert set(roles[-1]) == {Role.LEADER, Role.STANDBY}
    assert roles[-5:] == roles[-1:] * 5


def test_a_window_of_which_a_standby_has_a_part_is_in_doubt(start: Start, clock: FakeClock) -> None:
    """Somebody may have sent what came before it was cut off, and nobody is left to say so."""
    # Given a standby that did not hear where a window ended
    leader, standby = start("a"), start("b")
    leader.boundary()
    standby.cut_off()
    leader.boundary()
    assert leader.send(leader.labels[-1].window) == "send"
    standby.connect()

    # When its leader dies before the next
    leader.die()
    clock.advance(10)
    standby.leader.look()

    # Then
    clock.advance(5)
    standby.leader.look()
    assert standby.send(standby.labels[-1].window) == "doubt"


def test_the_doubt_of_a_part_outlives_a_refusal_of_the_whole(
    start: Start, clock: FakeClock
) -> None:
    """What came before it was cut off may have been accepted with an earlier window."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    standby.cut_off()
    leader.boundary()
    standby.connect()
    whole = leader.labels[-1].window
    leader.windows.begin(whole)
    leader.windows.end(whole, accepted=False)
    standby.read()
    leader.die()
    standby.leader.look()
    clock.advance(5)
    standby.leader.look()

    assert standby.send(whole) == "doubt"


def test_a_part_is_in_no_doubt_where_no_window_ended_meanwhile(
    start: Start, clock: FakeClock
) -> None:
    """Its leader knows of none either."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    standby.windows.on_connection(False)
    standby.connect()
    window = standby.labels[-1].window
    leader.die()
    standby.leader.look()
    clock.advance(5)
    standby.leader.look()

    assert standby.send(window) == "send"


def test_a_window_of_which_a_standby_has_a_part_is_its_leader_s(start: Start) -> None:
    """Who has the whole sends it."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    standby.windows.on_connection(False)
    standby.connect()
    window = standby.labels[-1].window
    assert window == leader.labels[-1].window
    assert leader.send(window) == "send"

    assert window in standby.settled


@pytest.mark.parametrize("leads_first", [False, True])
def test_a_standby_that_was_stopped_finds_where_the_windows_ended(
    start: Start, clock: FakeClock, leads_first: bool
) -> None:
    """The leader has not heard of it for long, sends what it has itself, and then dies."""
    # Given
    leader, standby = start("a"), start("b")
    leader.boundary()
    standby.is_stopped = True
    clock.advance(200)
    leader.leader.look()
    for _ in range(3):
        assert leader.boundary() == "marker"
    assert leader.labels[-2:] == [Label(), Label()]
    leader.die()

    # When it comes back, and hears of it before or after it has the lease
    standby.is_stopped = False
    if leads_first:
        standby.leader.look()
    standby.read()
    standby.leader.look()
    assert standby.leader.role is Role.LEADER

    # Then it publishes what came after the last of them
    assert [label.is_kept for label in standby.labels[-2:]] == [False, False]
    standby.boundary()
    assert standby.labels[-1].is_kept


def test_who_comes_back_and_leads_reads_first_what_was_said_meanwhile(start: Start) -> None:
    """The lease is there at once; that a window was accepted waits to be read."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    standby.is_stopped = True
    assert leader.send(window) == "send"
    leader.die()
    standby.is_stopped = False
    standby.leader.look()

    assert standby.leader.role is Role.LEADER
    assert not standby.windows.leads()
    standby.windows.speak()
    standby.read()
    assert standby.windows.leads()
    assert window in standby.settled


def test_who_takes_over_and_cannot_hear_itself_sends_after_a_while(
    start: Start, stream: Stream, clock: FakeClock
) -> None:
    """As while RabbitMQ's memory is short."""
    leader, standby = start("a"), start("b")
    stream.error = ConnectionError("blocked")
    leader.die()
    standby.leader.look()
    standby.windows.speak()
    assert not standby.windows.leads()

    clock.advance(5)
    standby.leader.look()
    assert standby.windows.leads()


def test_a_standby_that_may_come_back_holds_what_it_held(start: Start, clock: FakeClock) -> None:
    """It is stopped, perhaps; at the end of the leader only who answers is an heir."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    standby.is_stopped = True
    clock.advance(200)
    leader.leader.look()
    assert not leader.windows.is_ours(window)
    assert not leader.windows.has_heirs(window)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_who_leaves_asks_who_is_there(
    start: Start, stream: Stream, clock: FakeClock, is_stopped: bool
) -> None:
    """One that was killed a moment ago inherits nothing."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    standby.is_stopped = is_stopped
    assert leader.windows.has_heirs(window)
    clock.advance(1)
    leader.leader.look()
    assert not leader.windows.may_leave()
    wait_until(lambda: "ask" in stream.log, 60, "it asks")
    stream.deliver()

    assert leader.windows.may_leave() is not is_stopped
    assert leader.windows.has_heirs(window) is not is_stopped
    clock.advance(3)
    assert leader.windows.may_leave()


def test_a_standby_that_was_stopped_for_longer_says_what_may_count_twice(
    start: Start, clock: FakeClock
) -> None:
    """Its leader ended the windows by its clock in the end."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    standby.is_stopped = True
    clock.advance(5_000)
    leader.leader.look()
    assert leader.boundary() == "clock"
    leader.die()
    standby.is_stopped = False
    standby.leader.look()
    standby.read()
    standby.boundary()
    clock.advance(5)
    standby.leader.look()

    assert standby.send(standby.labels[-1].window) == "doubt"


def test_a_window_that_a_leader_may_have_ended_untold_is_in_doubt(
    start: Start, stream: Stream, clock: FakeClock
) -> None:
    """As while RabbitMQ's memory is short: it leaves, and nobody can hear where its last ended."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    stream.error = ConnectionError("blocked")
    assert leader.boundary() == "clock"
    leader.die()
    standby.leader.look()
    assert standby.boundary() == "clock"
    clock.advance(5)
    standby.leader.look()

    assert standby.send(standby.labels[-1].window) == "doubt"


def test_who_has_a_longer_interval_is_there_all_the_same(stream: Stream, clock: FakeClock) -> None:
    """It says so once in an interval of its own."""
    leader = Monitor(stream, "a", interval=10.0)
    leader.connect()
    standby = Monitor(stream, "b", interval=300.0)
    standby.connect()
    clock.advance(800)
    leader.leader.look()

    assert leader.boundary() == "marker"
    assert len(leader.windows.peers()) == 1


def test_what_came_before_its_heir_is_a_leader_s_own(start: Start, stream: Stream) -> None:
    """As in an outage in which one monitor after the other is replaced."""
    # Given a window that the one other held, which has gone
    leader, first = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    assert leader.windows.has_heirs(window)
    assert not leader.windows.is_ours(window)
    first.windows.close()
    stream.monitors.remove(first)
    leader.read()

    # When another comes
    second = start("c")
    leader.boundary()

    # Then
    assert not leader.windows.has_heirs(window)
    assert leader.windows.is_ours(window)
    assert leader.windows.has_heirs(leader.labels[-1].window)
    assert second.labels[-1] == leader.labels[-1]


def test_what_its_heir_did_not_hear_of_is_a_leader_s_own(start: Start) -> None:
    """As in an outage in which the other was cut off for a while."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    standby.cut_off()
    leader.boundary()
    standby.connect()
    leader.boundary()
    before, meanwhile, across, after = (label.window for label in leader.labels[1:])

    assert [w for w in (before, meanwhile, across, after) if leader.windows.is_ours(w)] == [
        meanwhile,
        across,
    ]


def test_of_two_that_hold_what_was_being_sent_one_sends_it_in_doubt(
    start: Start, clock: FakeClock
) -> None:
    """Its leader died, and the next came later."""
    # Given
    leader, first, second = start("a"), start("b"), start("c")
    leader.boundary()
    window = leader.labels[-1].window
    assert leader.windows.begin(window)
    first.read()
    second.read()
    leader.die()
    clock.advance(20)
    newcomer = start("d")
    assert newcomer.leader.role is Role.LEADER
    for _ in range(3):
        clock.advance(60)
        for monitor in (newcomer, first, second):
            monitor.leader.look()
            monitor.boundary()

    # Then
    assert window not in (*first.settled, *second.settled)
    assert [monitor.windows.is_ours(window) for monitor in (first, second)] == [True, False]
    assert first.windows.admit(window) == "doubt"
    first.windows.end(window, accepted=True)
    second.read()
    assert window in second.settled


def test_a_leader_that_came_later_takes_nothing_from_who_was_there(start: Start) -> None:
    """It does not know whether that was accepted; and of two that have it, one sends it."""
    leader, first = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    second = start("c")
    leader.leader.give_way()
    leader.leader.look()
    second.leader.look()
    assert second.boundary() == "marker"
    assert second.boundary() == "marker"

    assert window not in (*leader.settled, *first.settled)
    assert [m.windows.is_ours(window) for m in (leader, first)] == [True, False]


def test_nothing_is_in_doubt_where_nobody_led_while_the_broker_was_away(
    start: Start, broker: Broker, clock: FakeClock
) -> None:
    """The standby, which was away as well, knows of no window that ended since."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    for monitor in (leader, standby):
        monitor.windows.on_connection(False)
    clock.advance(20)
    broker.holder = None
    leader.connect()
    window = leader.labels[-2].window
    assert leader.send(window) == "not"  # before it has asked again
    clock.advance(2)
    leader.leader.look()
    assert leader.send(window) == "wait"

    standby.connect()
    assert leader.send(window) == "send"


def test_who_could_not_tell_of_past_deaths_tells_them_later(
    stream: Stream, clock: FakeClock
) -> None:
    """As while RabbitMQ's memory is short: who has just come would count them again."""
    dead = ("celery@one", 1, 30.0, 1.0, "", False)
    heard: list[Past] = []
    leader = Monitor(stream, "a", past=lambda: Past((dead,)))
    leader.connect()
    standby = Monitor(stream, "b", note_past=heard.append)
    standby.windows.on_connection(True)
    standby.leader.look()
    standby.windows.speak()
    leader.read()
    stream.error = ConnectionError("blocked")
    leader.windows.speak()
    stream.error = None
    clock.advance(5)
    leader.windows.speak()
    stream.deliver()

    assert heard == [Past((dead,))]


def test_who_says_again_and_again_that_it_has_come_is_not_told_each_time_who_died(
    stream: Stream, clock: FakeClock
) -> None:
    """Anybody who may send events can say so, and the answer is far longer."""
    told: list[float] = []

    def past() -> Past:
        told.append(clock.monotonic())
        return Past((("celery@one", 1, 30.0, 1.0, "", False),))

    leader = Monitor(stream, "a", past=past)
    leader.connect()
    for number in range(100):
        stream.send(
            monitors=SAME,
            sender=f"forged-{number}",
            who="",
            role="standby",
            what="join",
            window="w",
        )
        stream.deliver()
    assert len(told) == 5

    clock.advance(5)
    leader.windows.speak()
    assert len(told) == 6


def test_a_leader_that_was_cut_off_lets_a_standby_lead(start: Start) -> None:
    """What came meanwhile only the standby has."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    leader.windows.on_connection(False)
    leader.windows.on_connection(True)
    leader.leader.look()
    standby.leader.look()

    assert (leader.leader.role, standby.leader.role) == (Role.STANDBY, Role.LEADER)


def test_a_leader_that_is_cut_off_when_a_window_ends_leaves_it_to_the_standby(
    start: Start,
) -> None:
    """It may lead, and tell what it sends; but the standby has those events as well."""
    # Given
    leader, standby = start("a"), start("b")
    leader.boundary()
    leader.windows.on_connection(False)
    assert leader.boundary() == "clock"
    window = leader.labels[-1].window
    assert leader.windows.leads()
    assert leader.send(window) == "wait"

    # When it is back, and before it has let the other lead
    leader.windows.on_connection(True)
    assert leader.send(window) == "not"
    leader.leader.look()
    standby.leader.look()
    standby.boundary()
    leader.windows.speak()
    standby.boundary()
    leader.read()
    standby.boundary()

    # Then
    assert leader.settled[-1] == window
    assert all(label.is_kept for label in standby.labels)


@pytest.mark.parametrize("ends_by_clock", [True, False])
@pytest.mark.parametrize("is_leader_back_first", [True, False])
@pytest.mark.parametrize("is_led_by_leader", [True, False])
def test_what_all_have_of_a_window_when_the_broker_restarts_is_sent_once(
    start: Start,
    stream: Stream,
    broker: Broker,
    clock: FakeClock,
    ends_by_clock: bool,
    is_leader_back_first: bool,
    is_led_by_leader: bool,
) -> None:
    """Each has it by an id of its own; whoever leads then sends it, and the other is told."""
    # Given
    leader, _ = monitors = (start("a"), start("b"))
    leader.boundary()
    ended = [len(monitor.labels) for monitor in monitors]
    for monitor in monitors:
        monitor.windows.on_connection(False)
    broker.error = ConnectionError("gone")
    if ends_by_clock:
        leader.boundary()
    clock.advance(20)
    for monitor in monitors:
        monitor.leader.look()

    # When it is back, without the lock
    broker.error = broker.holder = None
    stream.monitors = []
    for monitor in monitors if is_leader_back_first else reversed(monitors):
        stream.monitors.append(monitor)
        if monitor.windows.on_connection(True):
            monitor.end()
        monitor.windows.speak()
        stream.deliver()
    first, other = monitors if is_led_by_leader else reversed(monitors)
    for monitor in (first, first, other):
        clock.advance(5)
        monitor.look()
    stream.deliver()

    # Then
    assert (first.leader.role, other.leader.role) == (Role.LEADER, Role.STANDBY)
    windows = [m.labels[n].window for m, n in zip(monitors, ended, strict=True)]
    sent, left = windows if is_led_by_leader else reversed(windows)
    assert not other.windows.is_ours(left)
    for window in {label.window for label in other.labels if label.is_kept} - {left}:
        if other.windows.is_ours(window):  # what came between the returns of the two
            other.windows.end(window, accepted=True)
    stream.deliver()
    assert [first.boundary(), first.boundary()] == ["marker", "marker"]
    assert left not in other.settled  # who leads may die before it has sent its own
    assert sent not in first.settled
    assert first.send(sent) == "send"
    assert left in other.settled


def test_who_comes_back_late_is_told_of_what_was_sent_meanwhile(
    start: Start, stream: Stream, broker: Broker, clock: FakeClock
) -> None:
    """It has a part of that window as well, and may lead soon."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    for monitor in (leader, standby):
        monitor.windows.on_connection(False)
    leader.boundary()
    sent = leader.labels[-1].window
    broker.holder = None
    stream.monitors.remove(standby)
    leader.connect()
    clock.advance(10)
    leader.look()
    assert leader.send(sent) == "send"

    standby.connect()
    left = standby.labels[-1].window

    assert left != sent
    assert left in standby.settled


def test_what_was_accepted_as_the_broker_left_is_told_when_it_is_back(
    start: Start, stream: Stream, clock: FakeClock
) -> None:
    """The other monitor waits for that before it sends the window again."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    window = leader.labels[-1].window
    assert leader.windows.begin(window)
    stream.error = ConnectionError("refused")
    leader.windows.end(window, accepted=True)
    leader.windows.speak()
    stream.deliver()
    assert window not in standby.settled

    stream.error = None
    clock.advance(1)
    leader.windows.speak()
    stream.deliver()
    assert window in standby.settled


def test_what_broke_off_is_sent_by_who_has_it_if_a_newcomer_leads(
    start: Start, stream: Stream, clock: FakeClock
) -> None:
    """The other that had it as well has died, and a newcomer has nothing of it."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    for monitor in (leader, standby):
        monitor.windows.on_connection(False)
    leader.boundary()
    window = leader.labels[-1].window
    for monitor in (leader, standby):
        if monitor.windows.on_connection(True):
            monitor.end()
        monitor.windows.speak()
        stream.deliver()
    leader.leader.look()
    standby.leader.look()
    assert (leader.leader.role, standby.leader.role) == (Role.STANDBY, Role.LEADER)
    stream.deliver()
    standby.die()
    newcomer = start("c")
    assert newcomer.leader.role is Role.LEADER

    for _ in range(4):
        clock.advance(60)
        for monitor in (newcomer, leader):
            monitor.look()
            monitor.boundary()
    assert window not in leader.settled
    assert leader.windows.is_ours(window)


def test_a_leader_that_comes_back_late_does_not_know_whether_it_leads(
    start: Start, clock: FakeClock, broker: Broker
) -> None:
    """What comes before it has asked another has as well, which it does not know any more."""
    # Given one that was away for so long that it takes the other for gone, and the other leads
    leader, standby = start("a"), start("b")
    leader.boundary()
    leader.windows.on_connection(False)
    leader.boundary()
    broker.holder = None
    standby.leader.look()
    clock.advance(200)

    # When it is back, and a window ends where it says so
    assert leader.windows.on_connection(True)
    leader.end()
    leader.windows.speak()
    leader.read()
    standby.read()

    # Then
    window = leader.labels[-1].window
    assert window == standby.labels[-1].window != ""
    assert leader.send(window) == "not"
    leader.look()
    clock.advance(10)
    standby.look()
    assert standby.send(window) == "send"
    leader.read()
    assert window in leader.settled


def test_a_leader_that_was_cut_off_and_is_alone_sends_what_it_has(
    start: Start, clock: FakeClock
) -> None:
    """The standby has gone."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    leader.windows.on_connection(False)
    leader.boundary()
    window = leader.labels[-1].window
    standby.die()
    leader.connect()
    assert leader.send(window) == "not"
    clock.advance(2)
    leader.leader.look()

    assert leader.send(window) == "send"


def test_a_leader_without_broker_goes_on_saying_that_it_has_none(
    start: Start, broker: Broker, clock: FakeClock
) -> None:
    """What it had counted waits until it is known who leads; a window without events does not."""
    leader, _ = start("a"), start("b")
    leader.boundary()
    broker.error = ConnectionError("gone")
    leader.windows.on_connection(False)
    clock.advance(60)
    assert [leader.boundary(), leader.boundary()] == ["clock", "clock"]

    counted, empty = leader.labels[-2:]
    assert counted.window
    assert empty == Label()
    assert leader.send(counted.window) == "not"


def test_the_last_window_of_a_graceful_shutdown_ends_in_the_stream(
    start: Start, stream: Stream, clock: FakeClock
) -> None:
    """What comes after it is for the standby, which leads without a doubt."""
    leader, standby = start("a"), start("b")
    while not leader.windows.may_leave():
        stream.deliver()
    last = leader.labels[-1]
    assert leader.windows.turn() == Label(is_kept=False)
    assert leader.send(last.window) == "send"
    leader.windows.close()
    standby.read()
    leader.die()
    standby.leader.look()
    clock.advance(1)

    assert standby.labels[-1] == last
    assert standby.windows.peers() == ()
    assert standby.boundary() == "clock"
    assert standby.labels[-1].is_kept


def test_where_nothing_can_be_sent_the_clock_ends_a_window_and_it_is_published(
    start: Start, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    """As on RabbitMQ while its memory is short; one WARNING says what that costs."""
    leader, _ = start("a"), start("b")
    stream.error = ConnectionError("blocked")
    assert [leader.boundary(), leader.boundary()] == ["clock", "clock"]

    assert leader.windows.begin(leader.labels[-1].window)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert told[0].startswith("an event of our own cannot be sent: blocked:")


def test_what_cannot_be_told_is_sent_once_the_lock_has_answered(
    start: Start, stream: Stream, broker: Broker, clock: FakeClock
) -> None:
    """A network that swallows all looks like a broker that takes no events, for some seconds."""
    leader, standby = start("a"), start("b")
    leader.boundary()
    clock.advance(1)
    stream.error = ConnectionError("no end within 2 s")
    broker.error = ConnectionError("timed out")
    leader.look()
    assert leader.boundary() == "clock"
    window = leader.labels[-1].window
    assert leader.windows.leads()
    assert not leader.windows.begin(window)

    broker.error = None
    leader.look()
    clock.advance(1)
    assert leader.windows.begin(window)
    assert standby.windows.stands_by()


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_marker_that_comes_back_late_ends_a_window_all_the_same(
    start: Start, stream: Stream, clock: FakeClock, is_sent: bool
) -> None:
    """For the others it does; a broker that answers late may have had it, too."""
    # Given a marker that does not come back in time, or whose sending ended with an error
    leader, standby = start("a"), start("b")
    leader.boundary()
    clock.advance(1)
    late: list[OwnEvent] = []

    def send(**fields: object) -> None:
        late.append(OwnEvent(type=OWN_EVENT, **fields))  # type: ignore[arg-type]
        if not is_sent:
            raise ConnectionError("no end within 2 s")

    vars(leader.windows)["_own_events"]._send, sends = send, stream.send
    if is_sent:
        assert leader.boundary() == "marker"
        leader.windows.give_up_marker()
        leader.end()
    else:
        assert leader.boundary() == "clock"
    vars(leader.windows)["_own_events"]._send = sends

    # When it comes
    for monitor in stream.monitors:
        monitor.waiting += late
    stream.deliver()

    # Then
    by_clock, by_marker = leader.labels[-2:]
    assert by_marker == standby.labels[-1]
    assert [leader.send(by_clock.window), leader.send(by_marker.window)] == ["send", "send"]
    assert standby.settled[-1] == by_marker.window
    assert leader.boundary() == "marker"
    assert standby.labels[-1] == leader.labels[-1]
    assert standby.labels[-1].is_kept


def test_who_could_not_say_that_it_has_come_has_a_part_of_what_was_published(
    stream: Stream, broker: Broker, clock: FakeClock
) -> None:
    """The leader does not know of it, and ends its windows by the clock; so does the other."""
    leader, standby = Monitor(stream, "a"), Monitor(stream, "b")
    leader.connect()
    vars(standby.windows)["_own_events"]._send = Stream(broker, clock).refuse
    standby.connect()
    clock.advance(1)
    assert standby.boundary() == "clock"
    assert standby.labels[-1] == Label(is_kept=False, puts_off_deaths=True)

    leader.die()
    standby.look()
    clock.advance(10)
    standby.look()
    standby.end()
    assert standby.send(standby.labels[-1].window) == "doubt"


def test_two_that_publish_say_so(stream: Stream, caplog: pytest.LogCaptureFixture) -> None:
    """Each once, by whoever hears of the other."""
    first, second = Monitor(stream, "a"), Monitor(stream, "b", leased=False)
    first.connect()
    second.connect()
    for _ in range(2):
        first.boundary()
        second.boundary()

    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert sorted(line.partition("; ")[0].rpartition(": ")[2] for line in told) == [
        "process of a",
        "process of b",
    ]
    assert first.labels == second.labels == [Label(), Label()]


def test_a_leader_that_hears_of_another_asks_at_once(start: Start, stream: Stream) -> None:
    """As after a failover that lost the lock; else both would send for some seconds."""
    # Given a leader that would ask in an hour
    leader, standby = start("a"), start("b")
    lease = leader.leader._lease
    assert lease is not None
    lease.renew_seconds = 3_600
    leader.leader.start()
    asked_at = leader.leader._asked_at
    stream.clock.advance(1)
    leader.leader.hurry()
    wait_until(lambda: leader.leader._asked_at != asked_at, 60, "it waits now")

    # When the lock is lost, and another has it
    stream.broker.holder = None
    standby.leader.look()
    assert (leader.leader.role, standby.leader.role) == (Role.LEADER, Role.LEADER)
    standby.windows.speak()
    stream.deliver()

    # Then
    wait_until(lambda: leader.leader.role is Role.STANDBY, 60, "it knows")
    assert not leader.windows.leads()
    leader.leader.close()


def test_those_of_another_namespace_are_strangers(stream: Stream) -> None:
    """Nothing of theirs ends a window here."""
    other_broker = Broker()
    first = Monitor(stream, "a")
    first.connect()
    stream.broker = other_broker
    second = Monitor(stream, "b", monitors="another.lock")
    second.connect()
    second.boundary()

    assert first.labels == []
    assert first.windows.peers() == second.windows.peers() == ()


def test_who_publishes_the_same_is_known_to_all(stream: Stream) -> None:
    """One that asks nobody for the lock, and the one that has it; a standby sees both."""
    monitors = [Monitor(stream, name, leased=name != "c") for name in "abc"]
    for monitor in monitors:
        monitor.connect()
    leader, standby, alone = monitors

    assert leader.windows.doubles() == ("process of c",)
    assert alone.windows.doubles() == ("process of a",)
    assert sorted(standby.windows.doubles()) == ["process of a", "process of c"]


def test_one_leader_is_no_second_monitor(start: Start) -> None:
    """Nor are its standbys."""
    leader, standby = start("a"), start("b")
    assert leader.windows.doubles() == standby.windows.doubles() == ()


def test_who_is_no_monitor_may_ask_who_is_there(start: Start, stream: Stream) -> None:
    """They answer, and take it for no monitor."""
    leader = start("a")
    stream.send(monitors=SAME, sender="check", who="process of check", what="ask")
    stream.deliver()
    assert stream.log == ["join", "ask", "here"]
    assert leader.windows.peers() == ()
