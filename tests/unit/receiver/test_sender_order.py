"""Sender order: what each sender sent comes once and in its order, however SQS shuffles it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_monitor.over_sqs.wire import Header
from event_monitor.receiver.sender_order import HOLD_SECONDS, Delivery, Position, SenderOrder

ONE, TWO = "00000000000a", "00000000000b"


def header(seq: int, sender: str = ONE, *, dropped: int = 0) -> Header:
    return Header(sender=sender, seq=seq, dropped=dropped)


def items(deliveries: Iterable[Delivery[str]] | None) -> list[str]:
    assert deliveries is not None
    return [delivery.item for delivery in deliveries]


class Queue:
    """A queue whose messages arrive when they are told to."""

    def __init__(self, positions: dict[str, Position] | None = None) -> None:
        self.order = SenderOrder[str](positions, now=0.0)
        self.came: list[str] = []

    def arrive(self, *seqs: int, at: float, sender: str = ONE) -> list[str]:
        """Let these arrive at that second; return what is delivered until then, and by it."""
        delivered = items(self.order.expire(at))
        for seq in seqs:
            delivered += items(self.order.add(header(seq, sender), f"{seq}", size=1, now=at) or [])
        return delivered


Shuffled = tuple[str, int, float, bool]


@st.composite
def shuffled(draw: st.DrawFn) -> list[tuple[float, Header]]:
    """Return when messages of up to three senders arrive: shuffled, some of them twice."""
    arrivals = []
    for sender in draw(st.sets(st.sampled_from(["a" * 12, "b" * 12, "c" * 12]), min_size=1)):
        sent_at = 0.0
        for seq in range(draw(st.integers(1, 12))):
            sent_at += draw(st.floats(0.0, 20.0))
            delay = st.floats(0.0, HOLD_SECONDS - 0.01)
            copies = range(draw(st.integers(1, 2)))
            arrivals += [(sent_at + draw(delay), header(seq, sender)) for _ in copies]
    return sorted(arrivals, key=lambda arrival: arrival[0])


@given(shuffled())
def test_whatever_the_delays_each_sender_is_read_exactly_as_it_sent(
    arrivals: list[tuple[float, Header]],
) -> None:
    """Any delay below the hold, and duplicates: the truth, in order, nothing twice."""
    order = SenderOrder[Header](now=0.0)
    delivered: list[Delivery[Header]] = []
    for at, message in arrivals:
        delivered += order.expire(at)
        delivered += order.add(message, message, size=1, now=at) or []
    delivered += order.expire(arrivals[-1][0] + HOLD_SECONDS)

    for sender in {message.sender for _, message in arrivals}:
        sent = {message.seq for _, message in arrivals if message.sender == sender}
        seqs = [item.seq for item, name, _, _ in delivered if name == sender]
        assert seqs == list(range(max(sent) + 1))
    assert order.take_missing() == 0
    assert order.held_bytes == 0


@given(shuffled(), st.sets(st.integers(0, 12)))
def test_what_is_lost_costs_nothing_but_itself(
    arrivals: list[tuple[float, Header]], lost: set[int]
) -> None:
    """All others come, in order and once; the hole is told where it is known to be one."""
    arrivals = [(at, message) for at, message in arrivals if message.seq not in lost]
    order = SenderOrder[Header](now=0.0)
    delivered: list[Delivery[Header]] = []
    for at, message in arrivals:
        delivered += order.expire(at)
        delivered += order.add(message, message, size=1, now=at) or []
    delivered += order.expire(1_000.0)

    for sender in {message.sender for _, message in arrivals}:
        sent = {message.seq for _, message in arrivals if message.sender == sender}
        assert [item.seq for item, name, _, _ in delivered if name == sender] == sorted(sent)
    assert order.held_bytes == 0


def test_a_hole_is_given_up_after_the_hold() -> None:
    """And what comes later of it is a repeat."""
    queue = Queue()
    assert queue.arrive(0, at=0.0) == ["0"]
    assert queue.arrive(2, 3, at=1.0) == []
    assert queue.arrive(at=1.0 + HOLD_SECONDS - 0.1) == []
    assert queue.arrive(at=1.0 + HOLD_SECONDS) == ["2", "3"]
    assert queue.order.take_missing() == 1
    assert queue.order.add(header(1), "1", size=1, now=20.0) is None


def test_nothing_is_given_up_while_it_may_come_yet() -> None:
    """As after a crash, when a reader's messages come back behind newer ones."""
    queue = Queue({ONE: Position(5, 0)})
    queue.order.wait_until(185.0, at_least=0.0)
    assert queue.arrive(7, at=1.0) == []
    assert queue.arrive(5, at=180.0) == ["5"]
    assert queue.arrive(6, at=181.0) == ["6", "7"]
    assert queue.order.take_missing() == 0


def test_no_outages_keep_a_message_for_ever() -> None:
    """However often more may come back: it is read within minutes."""
    queue = Queue({ONE: Position(5, 0)})
    assert queue.arrive(7, at=0.0) == []
    for at in range(0, 400, 50):
        queue.order.wait_until(at + 185.0, at_least=at + HOLD_SECONDS)
        assert queue.arrive(at=float(at)) == []
    assert queue.arrive(at=400.0) == ["7"]


def test_what_another_reader_had_is_not_missing() -> None:
    """Of a sender that is met halfway, nothing is known of what came before."""
    queue = Queue()
    assert queue.arrive(41, 40, at=0.0) == []
    assert queue.arrive(at=HOLD_SECONDS) == ["40", "41"]
    assert queue.order.take_missing() == 0


def test_a_sender_met_long_after_its_beginning_is_not_waited_for_as_long() -> None:
    """Else a monitor that starts would be silent for half a minute; but a backlog is shuffled."""
    for hold_seconds, waits in ((HOLD_SECONDS, False), (60.0, True)):
        order = SenderOrder[str](now=0.0)
        order.add(header(100), "100", size=1, now=0.0)
        assert (order.expire(5.0, hold_seconds=hold_seconds) == []) is waits


def test_who_goes_on_takes_nothing_twice() -> None:
    """The positions say what was counted before."""
    queue = Queue({ONE: Position(3, 0)})
    assert queue.order.add(header(2), "2", size=1, now=0.0) is None
    assert queue.arrive(3, at=0.0) == ["3"]


def test_what_a_sender_dropped_is_told_once() -> None:
    """Its count grows; of a sender met halfway somebody else was told the beginning."""
    order = SenderOrder[str]({TWO: Position(1, 10)}, now=0.0)
    dropped = [
        delivery.dropped
        for message in (
            header(0, dropped=3),
            header(1, dropped=3),
            header(2, dropped=8),
            header(1, TWO, dropped=12),
        )
        for delivery in order.add(message, "", size=1, now=0.0) or []
    ]
    assert dropped == [3, 0, 5, 2]

    order = SenderOrder[str](now=0.0)
    order.add(header(7, dropped=5), "", size=1, now=0.0)
    order.add(header(8, dropped=6), "", size=1, now=0.0)
    assert [delivery.dropped for delivery in order.expire(HOLD_SECONDS)] == [0, 1]


def test_no_more_is_held_than_may_be() -> None:
    """The oldest hole is given up first."""
    order = SenderOrder[str](now=0.0, max_bytes=5_000)
    order.wait_until(1_000.0, at_least=1_000.0)
    order.add(header(1, ONE), "one", size=2_000, now=0.0)
    order.add(header(1, TWO), "two", size=2_000, now=1.0)
    assert items(order.expire(1.0)) == ["one"]
    assert order.held_bytes == 3_000


def test_senders_are_forgotten_an_hour_after_their_last_message() -> None:
    """Each process has an id of its own, and pool processes come and go."""
    queue = Queue()
    assert queue.arrive(0, at=0.0) == ["0"]
    assert queue.arrive(0, at=1_800.0, sender=TWO) == ["0"]
    assert queue.arrive(at=3_600.0) == []
    assert queue.arrive(1, at=3_601.0, sender=TWO) == ["1"]
    assert queue.arrive(1, at=3_601.0) == []  # met anew, halfway


@pytest.mark.parametrize("seq", [0, 5])
def test_a_message_that_is_held_or_was_delivered_is_known(seq: int) -> None:
    """Its fresh handle replaces the old one."""
    queue = Queue()
    queue.arrive(seq, at=0.0)
    assert queue.order.held(header(seq)) == ("5" if seq else None)
    assert queue.order.add(header(seq), "again", size=1, now=1.0) is None
