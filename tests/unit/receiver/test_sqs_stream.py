"""SQS stream: what is counted once is known when it comes again, and deleted when it is safe."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import pytest

from event_monitor import events as ev
from event_monitor.errors import InvalidEvent
from event_monitor.over_sqs.configuration import EventQueue
from event_monitor.over_sqs.wire import Header, encode
from event_monitor.receiver.checkpoint import Checkpoint
from event_monitor.receiver.exactly_once import ExactlyOnce
from event_monitor.receiver.sender_order import HOLD_SECONDS, Position
from event_monitor.receiver.sqs_requests import RawMessage, first_received_at
from event_monitor.receiver.sqs_stream import VISIBILITY_SECONDS, SqsStream
from event_monitor.settings import Settings
from event_monitor.snapshot import AckToken, Snapshot, Window
from event_monitor.state import State
from event_monitor.testing import FakeClock

from ...support.event_queue import QueueWorker

SENDER = "0123456789ab"
COMES_BACK_SECONDS = VISIBILITY_SECONDS + 5.0


class Reader:
    """A stream on a clock that a test advances."""

    def __init__(self, stream: SqsStream | None = None, *, in_flight: int | None = 0) -> None:
        self.clock = FakeClock()
        self.stream = stream or SqsStream()
        self.invalid: list[InvalidEvent] = []
        self.begin(in_flight=in_flight)

    def begin(self, *, in_flight: int | None = 0) -> None:
        """Read from now on, perhaps again."""
        self.stream.begin(now=self.clock.monotonic(), wall=self.clock.wall(), in_flight=in_flight)

    def take(
        self, *seqs: int, copy: int = 1, dropped: int = 0, first_at: float | None = None
    ) -> tuple[list[int], Any]:
        """Receive these messages, of the so-manieth copy; return what is read, and the token.

        ``first_at``: when SQS handed them out first, if not now.
        """
        self.feed(*seqs, copy=copy, dropped=dropped, first_at=first_at)
        reading = self.stream.read(now=self.clock.monotonic())
        return [int(body) for body in reading.bodies], reading.ack_token

    def feed(
        self, *seqs: int, copy: int = 1, dropped: int = 0, first_at: float | None = None
    ) -> None:
        """Receive these messages, and read nothing yet."""
        at = self.clock.wall() if first_at is None else first_at
        self.stream.feed(
            [
                {
                    "Body": encode(
                        Header(sender=SENDER, seq=seq, dropped=dropped), [str(seq).encode()]
                    ),
                    "ReceiptHandle": f"{seq}.{copy}",
                    "Attributes": {
                        "ApproximateFirstReceiveTimestamp": str(int(at * 1_000)),
                        "ApproximateReceiveCount": str(1 if first_at is None else 2),
                    },
                }
                for seq in seqs
            ],
            now=self.clock.monotonic(),
            on_invalid=self.invalid.append,
        )


def test_a_message_is_deleted_when_it_is_safe_and_not_before() -> None:
    """All up to the token, and nothing that came later."""
    reader = Reader()
    _, first = reader.take(0, 1)
    reader.take(2)
    assert reader.stream.take_spent() == []
    reader.stream.settle(first)
    assert reader.stream.take_spent() == ["0.1", "1.1"]


def test_what_comes_again_before_it_is_safe_is_deleted_by_its_fresh_handle() -> None:
    """The old one deletes nothing any more; and nothing is counted twice."""
    reader = Reader()
    _, token = reader.take(0, 1)
    assert reader.take(0, copy=2) == ([], None)
    assert reader.stream.take_spent() == []
    reader.stream.settle(token)
    assert reader.stream.take_spent() == ["0.2", "1.1"]


def test_what_comes_twice_at_once_is_not_deleted_before_it_is_safe() -> None:
    """SQS may hand out a message twice in one answer, and in any order."""
    reader = Reader()
    read, token = reader.take(1, 0, 1, 0)
    assert read == [0, 1]
    assert reader.stream.take_spent() == []
    reader.stream.settle(token)
    assert reader.stream.take_spent() == ["0.1", "1.1"]


def test_what_comes_again_after_it_is_safe_is_deleted_at_once() -> None:
    """A delete that failed is made up for."""
    reader = Reader()
    _, token = reader.take(0)
    reader.stream.settle(token)
    reader.stream.take_spent()
    assert reader.take(0, copy=2) == ([], None)
    assert reader.stream.take_spent() == ["0.2"]


def test_what_waits_for_its_turn_keeps_its_fresh_handle() -> None:
    """It may wait longer than SQS keeps it out of sight."""
    reader = Reader(SqsStream({SENDER: Position(0, 0)}))
    assert reader.take(1) == ([], None)
    assert reader.take(1, copy=2) == ([], None)
    read, token = reader.take(0)
    assert read == [0, 1]
    reader.stream.settle(token)
    assert reader.stream.take_spent() == ["0.1", "1.2"]


def test_what_nobody_of_ours_sent_is_counted_as_invalid_and_deleted() -> None:
    """It would come again for ever."""
    reader = Reader()
    reader.stream.feed(
        [{"Body": "hello", "ReceiptHandle": "h"}], now=0.0, on_invalid=reader.invalid.append
    )
    assert len(reader.invalid) == 1
    assert reader.stream.take_spent() == ["h"]


def test_after_a_crash_what_was_left_behind_is_waited_for() -> None:
    """It comes back when SQS shows it again, behind newer messages of the same sender."""
    # Given a checkpoint, after which 5 and 6 were received by a process that was killed
    reader = Reader(SqsStream({SENDER: Position(5, 0)}))
    assert reader.take(7, 8) == ([], None)
    reader.clock.advance(VISIBILITY_SECONDS)
    # Then
    assert reader.take(6) == ([], None)
    assert reader.take(5)[0] == [5, 6, 7, 8]


def test_what_was_left_behind_is_waited_for_until_the_backlog_that_it_is_in_is_read() -> None:
    """A hundred thousand messages that come again at once take longer to read than five seconds."""
    # Given a checkpoint, and newer messages
    reader = Reader(SqsStream({SENDER: Position(5, 0)}))
    reader.take(7)

    # When what comes again is a backlog
    for _ in range(50):
        reader.clock.advance(5.0)
        assert not reader.stream.read(now=reader.clock.monotonic(), is_backlog=True).bodies

    # Then
    assert reader.take(6, 5)[0] == [5, 6, 7]
    reader.take(9)
    reader.clock.advance(HOLD_SECONDS)
    assert reader.take()[0] == [9]


def test_a_backlog_now_and_then_is_none() -> None:
    """At a steady 30 messages/s two full answers in a row come again and again."""
    # Given a message that waits for others, which do not come
    reader = Reader(SqsStream({SENDER: Position(5, 0)}))
    reader.take(7)

    # When there seems to be a backlog in every other second
    for second in range(int(COMES_BACK_SECONDS)):
        assert not reader.stream.read(
            now=reader.clock.monotonic(), is_backlog=second % 2 == 0
        ).bodies
        assert reader.stream.is_behind(reader.clock.monotonic()) is (second > 5)
        reader.clock.advance(1.0)

    # Then
    assert reader.take()[0] == [7]


def test_a_backlog_that_never_ends_keeps_no_message_for_ever() -> None:
    """More is sent than is read; silence proves nothing all the while."""
    reader = Reader(SqsStream({SENDER: Position(5, 0)}))
    reader.take(7)
    for _ in range(400):
        assert not reader.stream.read(now=reader.clock.monotonic(), is_backlog=True).bodies
        reader.clock.advance(1.0)
    assert reader.stream.read(now=reader.clock.monotonic(), is_backlog=True).bodies == [b"7"]
    assert reader.stream.is_behind(reader.clock.monotonic())


def test_absences_all_the_while_keep_no_message_for_ever() -> None:
    """Each request fails, or each connection is lost, soon after it was made."""
    for is_lost in (False, True):
        reader = Reader(SqsStream({SENDER: Position(5, 0)}))
        reader.take(7)
        seconds = 0
        while not reader.take()[0]:
            if is_lost:
                reader.begin()
            else:
                reader.stream.note_absence(reader.clock.monotonic(), may_have_missed=True)
            reader.clock.advance(1.0)
            seconds += 1
        assert 400 <= seconds <= 460


def test_without_a_checkpoint_the_same_where_sqs_says_that_messages_are_out() -> None:
    """A killed monitor without a disk, too, has left its messages to the next one."""
    for in_flight, waits in ((3, True), (0, False)):
        reader = Reader(in_flight=in_flight)
        assert reader.take(7) == ([], None)
        reader.clock.advance(HOLD_SECONDS)
        assert (reader.take(8)[0] == []) is waits
        reader.clock.advance(COMES_BACK_SECONDS)
        assert reader.take(9)[0] == ([7, 8, 9] if waits else [9])


def test_silence_proves_nothing_while_messages_wait_for_others() -> None:
    """Heartbeats may be among them."""
    reader = Reader(SqsStream({SENDER: Position(0, 0)}))
    assert not reader.stream.is_behind(reader.clock.monotonic())
    reader.take(1)
    reader.clock.advance(6.0)
    assert reader.stream.is_behind(reader.clock.monotonic())
    reader.take(0)
    assert not reader.stream.is_behind(reader.clock.monotonic())


def test_what_is_missing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once in five minutes."""
    reader = Reader()
    reader.take(0, 2)
    reader.clock.advance(HOLD_SECONDS)
    assert reader.take()[0] == [2]
    assert [record.getMessage()[:30] for record in caplog.records] == [
        "1 messages of the event queue "
    ]


def test_who_misses_every_other_message_is_not_the_only_reader() -> None:
    """SQS loses none; a single one that is missing is no proof."""
    reader = Reader()
    reader.take(0, 2)
    reader.clock.advance(HOLD_SECONDS)
    reader.take(3)
    assert not reader.stream.is_shared
    for seq in range(5, 25, 2):
        reader.take(seq)
        reader.clock.advance(HOLD_SECONDS)
    reader.take()
    assert reader.stream.is_shared
    for seq in range(24, 200):
        reader.take(seq)
    assert not reader.stream.is_shared


def test_a_second_reader_is_recognised_however_many_came_before() -> None:
    """By a few missing messages; until it must have been recognised, nobody knows."""
    # Given
    reader = Reader()
    reader.take(*range(1_000))
    now = reader.clock.monotonic
    assert not reader.stream.may_be_shared(now())

    # When it takes every other message
    for seq in range(1_001, 1_021, 2):
        reader.take(seq)
    reader.clock.advance(HOLD_SECONDS)

    # Then
    reader.take()
    assert reader.stream.is_shared
    assert not reader.stream.may_be_shared(now())


def test_a_message_that_is_missing_alone_is_lost_when_no_more_are() -> None:
    """After a minute."""
    reader = Reader()
    reader.take(*range(10))
    reader.take(11)
    reader.clock.advance(HOLD_SECONDS)
    reader.take()
    assert reader.stream.may_be_shared(reader.clock.monotonic())
    reader.clock.advance(60.0)
    assert not reader.stream.may_be_shared(reader.clock.monotonic())
    assert not reader.stream.is_shared


def test_without_the_lease_all_is_given_back_that_is_not_counted() -> None:
    """And nothing of it is known when we lead again; but what we have counted is."""
    reader = Reader()
    _, token = reader.take(0)
    reader.take(2, 3)
    assert reader.stream.take_rest() == ["2.1", "3.1"]
    reader.begin()
    assert reader.take(0, copy=2) == ([], None)
    reader.stream.settle(token)
    assert reader.stream.take_spent() == ["0.2"]


def test_who_gets_the_lease_back_counts_nothing_twice() -> None:
    """An outage may take the lease, and keep messages that are safe from being deleted."""
    # Given three messages that are counted and safe, one that is held, and one to be read
    reader = Reader()
    _, token = reader.take(0, 1, 2, dropped=1)
    reader.stream.settle(token)
    reader.take(5)
    reader.feed(3, dropped=2)

    # When the lease is lost, and nobody else has had it
    assert sorted(reader.stream.take_rest()) == ["3.1", "5.1"]
    reader.begin()

    # Then
    assert reader.take(0, 1, 2, copy=2) == ([], None)
    assert reader.stream.take_spent()[3:] == ["0.2", "1.2", "2.2"]
    read, token = reader.take(3, 4, 5, copy=2, dropped=2)
    assert (read, token.dropped) == ([3, 4, 5], 1)


def test_what_another_monitor_may_have_counted_is_told() -> None:
    """It died with messages that it had not deleted; what it was in the middle of, nobody knows."""
    # Given one that was received by a monitor that died half a minute before we began
    reader = Reader(in_flight=1)
    first_at = reader.clock.wall() - 30.0
    reader.clock.advance(VISIBILITY_SECONDS - 30.0)

    # Then
    assert reader.take(0, copy=2, first_at=first_at)[1].doubtful == 1
    assert reader.take(1)[1].doubtful == 0

    # And of an answer that we have missed ourselves it is known that nobody counted it
    first_at = reader.clock.wall()
    reader.clock.advance(VISIBILITY_SECONDS)
    assert reader.take(2, copy=2, first_at=first_at)[1].doubtful == 0


def test_what_nobody_else_can_have_counted_is_not_in_doubt() -> None:
    """Given back by a monitor that left; received by the process before us, whose counts we know;
    received when SQS says that nobody has any; or SQS does not say when it was received."""
    given_back = Reader(in_flight=1)
    assert given_back.take(0, first_at=given_back.clock.wall() - 30.0)[1].doubtful == 0

    for following in (Reader(SqsStream({SENDER: Position(0, 0)}), in_flight=1), Reader()):
        first_at = following.clock.wall() - 30.0
        following.clock.advance(VISIBILITY_SECONDS)
        assert following.take(0, first_at=first_at)[1].doubtful == 0


def test_a_checkpoint_goes_on_where_the_windows_on_disk_end() -> None:
    """Not where the subscription is by now; and dropped events are told once."""
    # Given two messages counted in a window, and a third that is not in it yet
    process = ExactlyOnce(Settings(state_dir="/x"), EventQueue())
    assert process.sqs is not None
    reader = Reader(process.sqs.stream)
    _, token = reader.take(0, 1, dropped=4)
    reader.take(2, dropped=4)
    assert token == AckToken(token.session, 1, positions=((SENDER, 2, 4),), dropped=4)

    # When it dies, and the next one goes on from what was written
    written = process.checkpoint(Snapshot(Window(0.0, 60.0), ack_tokens=(token,)))
    following = ExactlyOnce(Settings(state_dir="/x"), EventQueue())
    following.restore(Checkpoint.decode(written))

    # Then
    assert following.sqs is not None
    reader = Reader(following.sqs.stream)
    assert reader.take(1) == ([], None)
    read, token = reader.take(2, dropped=5)
    assert (read, token.dropped) == ([2], 1)


def test_events_twenty_seconds_apart_are_the_truth_to_the_state() -> None:
    """Each message late by 0 to 20 s at random: nobody is dead, nothing lost, and 40 tasks run."""
    # Given
    clock, tick = FakeClock(), count()
    chance = random.Random(7)
    sent: list[tuple[float, str]] = []
    workers = [
        QueueWorker(
            lambda body: sent.append((clock.monotonic() + chance.uniform(0, 20), body)),
            f"w{number}@synthetic",
            clock=lambda: clock.wall() + 1e-6 * next(tick),
        )
        for number in range(40)
    ]
    running = {worker.hostname: worker.start() for worker in workers}
    state, stream = State(clock=clock), SqsStream()
    stream.begin(now=clock.monotonic(), wall=clock.wall(), in_flight=0)

    # When they work for two minutes
    for second in range(150):
        for worker in workers if second < 130 else ():
            if second < 120:
                worker.succeed(running[worker.hostname])
                worker.run(3)
                running[worker.hostname] = worker.start()
            worker.worker_event()
        clock.advance(1.0)
        due = [one for one in sent if one[0] <= clock.monotonic()]
        sent = [one for one in sent if one[0] > clock.monotonic()]
        chance.shuffle(due)
        messages: Any = [{"Body": body, "ReceiptHandle": ""} for _, body in due]
        stream.feed(messages, now=clock.monotonic(), on_invalid=state.refuse)
        reading = stream.read(now=clock.monotonic())
        state.note_reading()
        state.observe(ev.decode(reading.bodies, on_invalid=state.refuse), reading.ack_token)
        if second % 20 == 19:
            shot = state.freeze_while(state.expose).develop()
            assert (shot.losses, shot.window.events_lost, shot.window.vanished) == ((), (), ())

    # Then
    live = state.peek()
    assert live.running_count == live.tasks_in_flight == 40
    assert state.event_count == sum(3 * worker.processed - 1 for worker in workers) + 40 * 131


@pytest.mark.parametrize("hours_off", [1, -1])
def test_a_worker_whose_clock_is_an_hour_off_is_judged_by_ours(hours_off: int) -> None:
    """Beside one whose clock is right: nobody is dead, what runs is as old as it is, then it is."""
    # Given
    clock, tick = FakeClock(), count()
    sent: list[str] = []
    off = hours_off * 3_600.0

    def right_time() -> float:
        return clock.wall() + 1e-6 * next(tick)

    wrong = QueueWorker(sent.append, "wrong@synthetic", clock=lambda: right_time() + off)
    right = QueueWorker(sent.append, "right@synthetic", clock=right_time)
    state, stream = State(clock=clock), SqsStream()
    stream.begin(now=clock.monotonic(), wall=clock.wall(), in_flight=0)

    def second(*workers: QueueWorker) -> Snapshot:
        for worker in workers:
            worker.run(2)
            worker.worker_event()
        clock.advance(1.0)
        messages: Any = [{"Body": body, "ReceiptHandle": ""} for body in sent]
        sent.clear()
        stream.feed(messages, now=clock.monotonic(), on_invalid=state.refuse)
        reading = stream.read(now=clock.monotonic())
        state.note_reading()
        state.observe(ev.decode(reading.bodies, on_invalid=state.refuse), reading.ack_token)
        shot: Snapshot = state.freeze_while(state.expose).develop()
        return shot

    # When both run a long task for two minutes
    running = {worker: worker.start() for worker in (wrong, right)}
    shots = [second(wrong, right) for _ in range(120)]

    # Then
    for shot in shots:
        assert (shot.losses, shot.window.events_lost, shot.window.vanished) == ((), (), ())
        assert [worker.silent_seconds for worker in shot.online] == [0.0, 0.0]
    assert [(one.count, round(one.oldest_seconds)) for one in shots[-1].running] == [(2, 119)]
    assert sum(counts.succeeded for shot in shots for _, counts in shot.window.tasks) == 480
    assert [round(counts.runtime.sum, 2) for _, counts in shots[-1].window.tasks] == [1.0]
    live = state.peek()
    assert {round(live.taken_at - task.since) for task in live.running} == {119}

    # When its clock is put right, by a restart or a step, it is no death
    off = 0.0
    wrong.succeed(running[wrong])
    assert [second(wrong, right).losses for _ in range(60)] == [()] * 60

    # When it dies, it is
    losses = [loss for _ in range(120) for loss in second(right).losses]
    assert [loss.hostname for loss in losses] == ["wrong@synthetic"]


def test_a_message_that_comes_for_the_first_time_was_with_nobody() -> None:
    """Whatever our clock says of SQS's."""
    attributes = {"ApproximateFirstReceiveTimestamp": "1000", "ApproximateReceiveCount": "1"}
    message: RawMessage = {"Body": "", "ReceiptHandle": "", "Attributes": attributes}
    assert first_received_at(message) is None
    attributes["ApproximateReceiveCount"] = "2"
    assert first_received_at(message) == 1.0


def test_where_nobody_says_how_many_messages_are_out_some_may_be() -> None:
    """The permission is missing: what another monitor may have counted is told, and waited for."""
    # Given one that another monitor had received, and a newer one
    reader = Reader(in_flight=None)
    first_at = reader.clock.wall() - 30.0
    assert reader.take(7) == ([], None)
    reader.clock.advance(VISIBILITY_SECONDS - 30.0)

    # Then
    assert reader.take(6, copy=2, first_at=first_at) == ([], None)
    reader.clock.advance(COMES_BACK_SECONDS)
    read, token = reader.take()
    assert (read, token.doubtful) == ([6, 7], 1)


def test_what_is_counted_and_not_published_counts_when_it_comes_again() -> None:
    """It is deleted with what is published, and not before."""
    # Given two windows, of which the second is another monitor's
    reader = Reader()
    _, first = reader.take(0, 1)
    _, second = reader.take(2)
    reader.stream.discard(second)
    reader.stream.discard(second)
    reader.stream.settle(first)
    assert reader.stream.take_spent() == ["0.1", "1.1"]
    reader.stream.take_rest()
    reader.stream.forget()
    reader.begin()

    # When a third one is safe
    reader.take(2, 3, copy=2)
    reader.clock.advance(HOLD_SECONDS)
    read, third = reader.take()
    reader.stream.settle(second)
    assert (read, reader.stream.take_spent()) == ([2, 3], [])
    reader.stream.settle(third)
    assert reader.stream.take_spent() == ["2.2", "3.2"]


def test_messages_are_ours_for_as_long_as_nobody_else_can_get_any_of_them() -> None:
    """Each delivery begins anew; of several the first counts."""
    reader = Reader(SqsStream({SENDER: Position(0, 0)}))
    began_at = reader.clock.monotonic()
    reader.take(1, 2)
    reader.clock.advance(10.0)
    reader.take(1, copy=2)
    reader.clock.advance(5.0)
    assert reader.take(0)[1].ours_until == began_at + 150.0
    assert reader.take(3)[1].ours_until == began_at + 165.0


def test_what_came_late_is_ours_for_as_long_as_if_it_was_read_at_once() -> None:
    """A request brought it whose connection had broken: it waited for the next one."""
    reader = Reader(in_flight=1)
    came_at, wall = reader.clock.monotonic(), reader.clock.wall()
    attributes = {
        "ApproximateFirstReceiveTimestamp": f"{wall - 30.0:.0f}000",
        "ApproximateReceiveCount": "2",
    }
    body = encode(Header(sender=SENDER, seq=0, dropped=0), [b"0"])
    message: RawMessage = {"Body": body, "ReceiptHandle": "", "Attributes": attributes}
    reader.clock.advance(VISIBILITY_SECONDS)
    now = reader.clock.monotonic()
    reader.stream.feed([message], now=now, came_at=came_at, on_invalid=reader.invalid.append)
    token = reader.stream.read(now=now).ack_token
    assert token is not None
    assert (token.ours_until, token.doubtful) == (came_at + 150.0, 0)


@pytest.mark.parametrize("every", [2, 3])
def test_a_second_reader_is_recognised_though_few_messages_come(every: int) -> None:
    """One a minute: from the first one that is missing, none is told as lost."""
    reader = Reader()
    reader.take(*range(20))
    told: list[bool] = []
    for seq in range(20, 120):
        reader.clock.advance(60.0)
        reader.take(*[seq][: seq % every])
        if reader.stream.is_shared or reader.stream.may_be_shared(reader.clock.monotonic()):
            told.append(False)
        elif told:
            told.append(True)
    assert len(told) > 90
    assert not any(told)
    assert reader.stream.is_shared


def test_of_few_messages_a_missing_one_is_lost_in_the_end() -> None:
    """When so many came since that another reader would have had some of them."""
    reader = Reader()
    minutes: list[int] = []
    for seq in range(80):
        reader.take(*[seq][: seq != 20])
        reader.clock.advance(60.0)
        if reader.stream.may_be_shared(reader.clock.monotonic()):
            minutes.append(seq)
    assert (minutes[0], len(minutes)) == (22, 24)
    assert not reader.stream.is_shared
