"""Echo: a subscription that receives nothing is dead only if an event of our own was sent."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from event_monitor.broker.own_events import BlockedError
from event_monitor.receiver.echo import Echo
from event_monitor.testing import FakeClock


class Watched:
    """An echo, the events of our own that it sends, and time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sent: list[Future[None]] = []
        self.echo = Echo(self._send, quiet_seconds=10.0, clock=self.clock)

    def _send(self) -> Future[None]:
        self.sent.append(Future())
        return self.sent[-1]

    def be_quiet(self, seconds: int) -> None:
        """Read once a second, and find nothing."""
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.echo.examine_silence()


@pytest.fixture
def watched() -> Watched:
    """One that has just subscribed."""
    watched = Watched()
    watched.echo.begin(awaits_first=False)
    return watched


def test_while_messages_come_nothing_is_sent(watched: Watched) -> None:
    """They prove enough."""
    for _ in range(10):
        watched.be_quiet(9)
        watched.echo.note_message()

    assert watched.sent == []


def test_an_event_that_comes_back_proves_that_the_subscription_works(watched: Watched) -> None:
    """For as long as it takes to become suspicious again."""
    for number in range(1, 4):
        watched.be_quiet(10)
        watched.sent[-1].set_result(None)
        watched.be_quiet(2)
        watched.echo.note_message()
        assert len(watched.sent) == number


def test_an_event_that_was_taken_and_does_not_come_back_proves_that_it_is_dead(
    watched: Watched,
) -> None:
    """Within half a minute."""
    watched.be_quiet(10)
    watched.sent[-1].set_result(None)
    watched.be_quiet(10)

    with pytest.raises(ConnectionError, match="nothing received for 21 s, not even an event of"):
        watched.be_quiet(1)

    assert len(watched.sent) == 1


def test_while_it_is_being_sent_it_is_waited_for(watched: Watched) -> None:
    """The broker may be frozen; others find that out."""
    watched.be_quiet(600)

    assert len(watched.sent) == 1


def test_what_cannot_be_sent_proves_nothing(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """A user may be allowed to read only: it is told once, and tried again, ever more seldom."""
    caplog.set_level("INFO")
    for seconds in (10, 20, 40):
        watched.be_quiet(seconds)
        watched.sent[-1].set_exception(PermissionError("no permission: not you"))
        watched.be_quiet(1)
        assert not watched.echo.is_blocked

    assert len(watched.sent) == 3
    assert [record.message for record in caplog.records] == [
        "no event of our own can be sent (no permission: not you): a subscription that is "
        "dead is not noticed"
    ]


def test_where_nobody_can_send_it_says_so_until_something_comes(watched: Watched) -> None:
    """RabbitMQ blocks all who publish while its disk is short: workers are silent, and alive."""
    watched.be_quiet(10)
    watched.sent[-1].set_exception(BlockedError("connection blocked"))
    watched.be_quiet(1)
    assert watched.echo.is_blocked

    watched.echo.note_message()
    assert not watched.echo.is_blocked


def test_a_stand_by_may_receive_nothing(watched: Watched) -> None:
    """Until the first message proves that the queue is its own."""
    watched.echo.begin(awaits_first=True)
    watched.be_quiet(600)
    assert watched.sent == []

    watched.echo.note_message()
    watched.be_quiet(10)
    assert len(watched.sent) == 1


def test_where_none_ever_comes_back_it_is_tried_more_rarely(watched: Watched) -> None:
    """As where the URL to write to leads elsewhere."""

    def seconds_to_death() -> int:
        watched.echo.begin(awaits_first=False)
        for second in range(2_000):
            try:
                watched.be_quiet(1)
            except ConnectionError:
                return second + 1
            if watched.sent and not watched.sent[-1].done():
                watched.sent[-1].set_result(None)
        return 0

    assert [seconds_to_death() for _ in range(3)] == [21, 41, 81]

    watched.echo.note_message()
    assert seconds_to_death() == 21
