"""SQS lease: one of two monitors reads, and who may not be the one any more stops in time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from event_monitor.over_sqs.configuration import EventQueue
from event_monitor.receiver.sqs import SqsSource
from event_monitor.receiver.sqs_lease import LEASE_SECONDS, RENEW_SECONDS, SqsLease
from event_monitor.receiver.sqs_requests import RawMessage, SqsError
from event_monitor.snapshot import AckToken
from event_monitor.testing import FakeClock

HOURS = 3_600.0


@dataclass
class _Sent:
    body: str
    visible_at: float = 0.0
    received_at: float | None = None
    handle: str = ""


@dataclass
class Fifo:
    """A FIFO queue of one group, as SQS behaves: it refuses a handle that is too old."""

    clock: FakeClock
    messages: list[_Sent] = field(default_factory=list)
    trouble: SqsError | None = None
    handles: int = 0

    def receive(self, most: int, *, wait_seconds: int, visibility_seconds: int) -> list[RawMessage]:
        """Hand out the first, unless one is with a reader."""
        assert (most, wait_seconds) == (1, 0)
        self._raise()
        now = self.clock.monotonic()
        if not self.messages or any(sent.visible_at > now for sent in self.messages):
            return []
        first = self.messages[0]
        self.handles += 1
        first.handle, first.received_at = f"h{self.handles}", now
        first.visible_at = now + visibility_seconds
        return [{"Body": first.body, "ReceiptHandle": first.handle}]

    def renew(self, handle: str, seconds: int) -> None:
        """Keep it for so long; for 12 hours in all."""
        self._raise()
        now = self.clock.monotonic()
        for sent in self.messages:
            if sent.handle == handle and sent.visible_at > now:
                assert sent.received_at is not None
                if now + seconds > sent.received_at + 12 * HOURS:
                    break
                sent.visible_at = now + seconds
                return
        raise SqsError("too old", code="InvalidParameterValue")

    def send(self, body: str, *, group: str, unique: str) -> None:
        """Append one."""
        assert group
        assert unique
        self._raise()
        self.messages.append(_Sent(body))

    def delete(self, handles: Sequence[str]) -> None:
        """Delete them."""
        self._raise()
        self.messages = [sent for sent in self.messages if sent.handle not in handles]

    def counts(self) -> tuple[int, int]:
        """Return how many wait, and how many are with a reader."""
        self._raise()
        out = sum(sent.visible_at > self.clock.monotonic() for sent in self.messages)
        return len(self.messages) - out, out

    def _raise(self) -> None:
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> Fifo:
    return Fifo(clock)


def two(clock: FakeClock, queue: Fifo) -> tuple[SqsLease, SqsLease]:
    """Return the leader, and who stands by."""
    leader, other = SqsLease(clock=clock), SqsLease(clock=clock)
    leader.turn(queue)
    other.turn(queue)
    assert (leader.is_held, other.is_held) == (True, False)
    return leader, other


def test_the_first_of_two_leads_for_as_long_as_it_renews(clock: FakeClock, queue: Fifo) -> None:
    """Over a day, though SQS lets nobody keep a message for longer than 12 hours."""
    leader, other = two(clock, queue)
    for _ in range(int(24 * HOURS / RENEW_SECONDS)):
        clock.advance(RENEW_SECONDS)
        leader.turn(queue)
        other.turn(queue)
        assert (leader.is_held, other.is_held) == (True, False)
    assert len(queue.messages) == 1


def test_who_leaves_lets_the_other_lead_at_once(clock: FakeClock, queue: Fifo) -> None:
    """A graceful shutdown."""
    leader, other = two(clock, queue)
    leader.release(queue)
    other.turn(queue)
    assert (leader.is_held, other.is_held) == (False, True)


def test_after_a_death_the_other_leads_when_the_lease_has_run_out(
    clock: FakeClock, queue: Fifo
) -> None:
    """Not before."""
    _, other = two(clock, queue)
    clock.advance(LEASE_SECONDS - 1)
    other.turn(queue)
    assert not other.is_held
    clock.advance(1)
    other.turn(queue)
    assert other.is_held


@pytest.mark.parametrize("renewals", [0, 10])
def test_who_gets_it_knows_whether_another_monitor_had_it(
    renewals: int, clock: FakeClock, queue: Fifo
) -> None:
    """Or only the process before itself, whose lease runs out."""
    leader, other = two(clock, queue)
    for _ in range(renewals):
        clock.advance(RENEW_SECONDS)
        leader.turn(queue)
        other.turn(queue)
    for _ in range(4):
        clock.advance(RENEW_SECONDS)
        other.turn(queue)
    assert other.is_held
    assert other.was_others is bool(renewals)

    # When it cannot be renewed for a while, and nobody else gets it
    assert other.take_was_others() is bool(renewals)
    clock.advance(LEASE_SECONDS - 1)
    assert not other.is_held
    other.turn(queue)
    assert other.is_held
    assert not other.take_was_others()


def test_who_lost_it_for_a_short_while_knows_that_another_had_it(
    clock: FakeClock, queue: Fifo
) -> None:
    """As a machine that was suspended."""
    leader, other = two(clock, queue)
    clock.advance(LEASE_SECONDS + 1)
    other.turn(queue)
    leader.turn(queue)
    assert (leader.is_held, other.is_held) == (False, True)

    other.release(queue)
    leader.turn(queue)
    assert leader.is_held
    assert leader.was_others


def test_who_cannot_renew_stops_by_its_own_clock_before_another_may_lead(
    clock: FakeClock, queue: Fifo
) -> None:
    """SQS is away for it only, or it was stopped."""
    leader, other = two(clock, queue)
    queue.trouble = SqsError("away")
    clock.advance(RENEW_SECONDS)
    with pytest.raises(SqsError, match="away"):
        leader.turn(queue)
    assert leader.is_held
    clock.advance(RENEW_SECONDS)
    assert not leader.is_held

    # When it is back after the other has taken over
    queue.trouble = None
    clock.advance(RENEW_SECONDS)
    other.turn(queue)
    leader.turn(queue)
    assert (leader.is_held, other.is_held) == (False, True)


def test_an_outage_that_is_short_costs_nobody_the_lease(clock: FakeClock, queue: Fifo) -> None:
    """The next renewal finds the handle as good as it was."""
    leader, other = two(clock, queue)
    queue.trouble = SqsError("throttled", code="RequestThrottled")
    clock.advance(RENEW_SECONDS)
    with pytest.raises(SqsError):
        leader.turn(queue)
    queue.trouble = None
    clock.advance(5)
    leader.turn(queue)
    other.turn(queue)
    clock.advance(RENEW_SECONDS)
    assert (leader.is_held, other.is_held) == (True, False)


@pytest.mark.parametrize("code", ["QueueDoesNotExist", "AccessDeniedException"])
def test_without_a_lease_one_reads_as_the_only_one_and_says_so_once(
    code: str, clock: FakeClock, queue: Fifo, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no queue for it, or it may not be used."""
    queue.trouble = SqsError("not there", code=code)
    lease = SqsLease(clock=clock)
    lease.turn(queue)
    lease.turn(queue)
    assert lease.is_held
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_what_is_given_up_is_counted_when_the_lease_comes_back(
    clock: FakeClock, queue: Fifo
) -> None:
    """Nobody else had it, as it turns out; the messages come again, and to us."""
    lease, _ = two(clock, queue)
    lease.take_was_others()
    source = SqsSource(EventQueue(), lease=lease)
    clock.advance(400.0)
    tokens = [AckToken("s", 1, ours_until=clock.monotonic() - 1)]
    assert not source.are_ours(tokens)
    source.give_up(tokens)
    lease.turn(queue)

    assert lease.is_held
    assert lease.take_was_others()


@pytest.mark.parametrize("is_out_of_sight", [True, False])
@pytest.mark.parametrize(
    ("lease_is", "may_be_anothers"),
    [
        ("ours", False),
        ("another's", True),
        ("left", True),
        ("not there", False),
        ("unknown", True),  # nobody refuses us
        ("unknown for a moment", False),
    ],
)
def test_messages_are_ours_unless_another_monitor_may_have_got_them(
    lease_is: str, may_be_anothers: bool, is_out_of_sight: bool, clock: FakeClock, queue: Fifo
) -> None:
    """It has the lease by now, perhaps, and SQS shows them again."""
    # Given messages that came 200 s ago
    leader, other = two(clock, queue)
    ours_until = clock.monotonic() + (301.0 if is_out_of_sight else 300.0)
    tokens = [AckToken("s", 1, ours_until=1e9), AckToken("s", 2, ours_until=ours_until)]

    def let_pass(seconds: int, *leases: SqsLease) -> None:
        for _ in range(0, seconds, 20):
            clock.advance(20.0)
            for lease in leases:
                with suppress(SqsError):
                    lease.turn(queue)

    let_pass(200, leader)

    # When
    if lease_is == "another's":
        let_pass(80)
        other.turn(queue)
        let_pass(20, other, leader)
    elif lease_is == "left":
        let_pass(80, leader)
        leader.release(queue)
        let_pass(20, other)
    else:
        is_short = lease_is == "unknown for a moment"
        let_pass(80 if is_short else 0, leader)
        if lease_is != "ours":
            code = "QueueDoesNotExist" if lease_is == "not there" else "InternalFailure"
            queue.trouble = SqsError("no answer", code=code)
        let_pass(20 if is_short else 100, leader)

    # Then
    source = SqsSource(EventQueue(), lease=leader)
    assert source.are_ours(tokens) is (is_out_of_sight or not may_be_anothers)
