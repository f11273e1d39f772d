"""SQS polls: no more requests than it takes, and nothing lost between the threads."""

from __future__ import annotations

import queue
import threading

import pytest

from event_monitor.receiver.sqs_polls import Polls, pause_seconds
from event_monitor.receiver.sqs_requests import BATCH, RawMessage, SqsError
from event_monitor.receiver.sqs_stream import VISIBILITY_SECONDS

from ...support.waiting import wait_until


def message(number: int) -> RawMessage:
    return {"Body": f"{number}", "ReceiptHandle": f"h{number}"}


class Answers:
    """SQS as far as it hands out messages: what is put, or an error; nothing when that is all."""

    def __init__(self, *answers: list[RawMessage] | SqsError) -> None:
        self.answers: queue.Queue[list[RawMessage] | SqsError] = queue.Queue()
        self.most: list[int] = []
        for answer in answers:
            self.answers.put(answer)

    def receive(
        self, most: int = BATCH, *, wait_seconds: int, visibility_seconds: int
    ) -> list[RawMessage]:
        """Return the next answer."""
        assert visibility_seconds == VISIBILITY_SECONDS
        self.most.append(most)
        try:
            answer = self.answers.get(timeout=0.05 if wait_seconds else 0)
        except queue.Empty:
            return []
        if isinstance(answer, SqsError):
            raise answer
        return answer


def polls(source: Answers, *, may_read: bool = True) -> tuple[Polls, list[RawMessage]]:
    returned: list[RawMessage] = []
    made = Polls(source, may_read=lambda: may_read, on_late=returned.extend)
    made.start()
    return made, returned


def received(made: Polls, count: int) -> list[str]:
    """Take messages until there are so many."""
    bodies: list[str] = []
    while len(bodies) < count:
        bodies += [taken["Body"] for taken in made.take(30)]
    return bodies


@pytest.mark.parametrize(
    ("per_second", "seconds", "most"), [(0.0, 600, 31), (10.0, 60, 75), (2.0, 60, 70)]
)
def test_a_trickle_of_messages_costs_few_requests(
    per_second: float, seconds: int, most: int
) -> None:
    """A request waits 20 s for its first message; then the next gather before it is repeated."""
    now, taken, requests, before = 0.0, 0, 0, 0
    while now < seconds:
        requests += 1
        waiting = int(now * per_second) - taken
        if not waiting:
            arrives_at = (taken + 1) / per_second if per_second else float("inf")
            now = min(now + 20.0, max(now, arrives_at) + 0.001)
            waiting = int(now * per_second) - taken
        count = min(BATCH, waiting)
        taken += count
        now += 0.01 + pause_seconds(count, before=before)
        before = count
    assert requests <= most


def test_a_backlog_is_read_without_a_pause() -> None:
    """Two full answers in a row are one."""
    assert pause_seconds(BATCH, before=BATCH) == 0
    assert pause_seconds(BATCH - 1, before=BATCH) >= 0.5


def test_all_of_a_backlog_comes_once() -> None:
    """By several threads; none of it twice."""
    source = Answers(*([message(n * BATCH + m) for m in range(BATCH)] for n in range(100)))
    made, _ = polls(source)
    assert sorted(map(int, received(made, 1_000))) == list(range(1_000))
    made.stop()


def test_what_came_before_an_error_is_handed_over_before_it() -> None:
    """Then each take raises it."""
    made, _ = polls(Answers([message(1)], SqsError("away")))
    assert received(made, 1) == ["1"]
    with pytest.raises(SqsError, match="away"):
        wait_until(lambda: made.take(0.1), 30, "the error comes")
    made.stop()


def test_a_slow_answer_to_the_other_threads_is_no_outage() -> None:
    """But what that answer had comes again later."""
    full = [message(number) for number in range(BATCH)]

    class Slow(Answers):
        def receive(
            self, most: int = BATCH, *, wait_seconds: int, visibility_seconds: int
        ) -> list[RawMessage]:
            if not wait_seconds:
                raise SqsError("no end within 8 s")
            return super().receive(
                most, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds
            )

    source = Slow(full)  # others help when a second one is full as well
    made, _ = polls(source)
    assert not made.may_have_missed
    while not made.may_have_missed:
        source.answers.put(full)
        received(made, BATCH)
    source.answers.put([message(99)])
    wait_until(lambda: "99" in received(made, 1), 30, "the first thread goes on")
    made.stop()


def test_without_the_lease_nothing_is_asked() -> None:
    """Not even once."""
    source = Answers([message(1)])
    made, _ = polls(source, may_read=False)
    assert made.take(0.2) == []
    assert source.most == []
    made.stop()


def test_an_answer_that_is_too_long_is_asked_for_one_message_at_a_time() -> None:
    """Ten of the largest that SQS takes are more than any answer may be."""
    source = Answers(SqsError("too long", is_too_long=True), [message(1)])
    made, _ = polls(source)
    assert received(made, 1) == ["1"]
    assert source.most[:2] == [BATCH, 1]
    made.stop()


def test_what_comes_after_the_stop_is_given_back() -> None:
    """A request that was under way ends later."""
    asked, release = threading.Event(), threading.Event()

    class Slow(Answers):
        def receive(
            self, most: int = BATCH, *, wait_seconds: int, visibility_seconds: int
        ) -> list[RawMessage]:
            assert (most, wait_seconds, visibility_seconds) == (BATCH, 20, VISIBILITY_SECONDS)
            asked.set()
            assert release.wait(30)
            return [message(1)]

    made, returned = polls(Slow())
    assert asked.wait(30)
    assert made.stop() == []
    assert not made.has_ended
    release.set()
    wait_until(lambda: returned, 30, "it is given back")
    assert returned == [message(1)]
    wait_until(lambda: made.has_ended, 30, "no request is under way")


class Slow(Answers):
    """Answers no request before it is let."""

    def __init__(self, *answers: list[RawMessage] | SqsError) -> None:
        super().__init__(*answers)
        self.is_asked, self.is_let = threading.Event(), threading.Event()

    def receive(
        self, most: int = BATCH, *, wait_seconds: int, visibility_seconds: int
    ) -> list[RawMessage]:
        """Return the next answer when that may be."""
        self.is_asked.set()
        assert self.is_let.wait(30)
        return super().receive(
            most, wait_seconds=wait_seconds, visibility_seconds=visibility_seconds
        )


def test_a_request_under_way_at_the_end_has_a_moment_to_bring_what_it_has() -> None:
    """Else nobody would get it before SQS shows it again."""
    # Given
    source = Slow([message(1)])
    made, returned = polls(source)
    assert source.is_asked.wait(30)

    # When
    threading.Timer(0.2, source.is_let.set).start()
    rest = made.stop(30)

    # Then
    assert [taken["Body"] for taken in [*rest, *returned]] == ["1"]


class MissesAtOnce(Polls):
    """A request fails each time that it was looked whether one has failed."""

    _has_missed = False

    @property
    def may_have_missed(self) -> bool:
        """Look, and fail."""
        has_missed, self._has_missed = self._has_missed, True
        return has_missed

    @may_have_missed.setter
    def may_have_missed(self, value: bool) -> None:
        self._has_missed = value


def test_a_request_that_fails_as_it_is_looked_at_is_not_forgotten() -> None:
    """Another thread may set it at any time."""
    made = MissesAtOnce(Answers(), may_read=lambda: True, on_late=print)
    assert [made.take_missed(), made.take_missed()] == [False, True]
