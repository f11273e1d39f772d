"""What the publisher says of itself to the sign of life."""

from __future__ import annotations

import pytest

from event_monitor.metrics import Metric
from event_monitor.sinks import Outcome
from event_monitor.snapshot import PublisherActivity
from event_monitor.testing import FakeClock, MemorySink

from ...contracts.sink import NOW, count
from .conftest import DEADLINE, GatedSink, MakePublisher


class TalkativeSink(GatedSink):
    """Says when its last request began, and how long one may take."""

    deadline_seconds = 15.0
    request_started_at: float | None = None


class AnsweringSink(MemorySink):
    """Gives one answer to everything."""

    def __init__(self, *, unsent: bool = False, dropped: bool = False) -> None:
        super().__init__()
        self._unsent, self._dropped = unsent, dropped

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        super().send(metrics)
        return Outcome(
            unsent=metrics if self._unsent else (),
            failures=int(self._unsent),
            dropped=len(metrics) if self._dropped else 0,
        )


def test_it_is_idle_until_there_is_something_to_send(make_publisher: MakePublisher) -> None:
    """Nothing was accepted yet; that counts from the start."""
    assert make_publisher().activity() == PublisherActivity(
        sending_seconds=None, deadline_seconds=60.0, accepted_at=None, started_at=NOW
    )


def test_it_says_for_how_long_it_has_been_sending(
    make_publisher: MakePublisher, clock: FakeClock
) -> None:
    """And when that was accepted."""
    # Given
    sink = GatedSink()
    publisher = make_publisher(sink)
    publisher.publish((count(),))

    # When
    publisher.start()
    assert sink.entered.wait(DEADLINE)
    clock.advance(20.0)

    # Then
    assert publisher.activity().sending_seconds == 20.0
    sink.gate.set()
    assert publisher.close(DEADLINE) == 0
    assert publisher.activity() == PublisherActivity(
        sending_seconds=None, deadline_seconds=60.0, accepted_at=NOW + 20, started_at=NOW
    )


def test_of_several_requests_only_the_present_one_counts(
    make_publisher: MakePublisher, clock: FakeClock
) -> None:
    """A large window takes several, each within its deadline."""
    sink = TalkativeSink()
    publisher = make_publisher(sink)
    publisher.publish((count(),))
    publisher.start()
    assert sink.entered.wait(DEADLINE)

    clock.advance(20.0)
    sink.request_started_at = clock.monotonic()
    clock.advance(5.0)

    assert publisher.activity().sending_seconds == 5.0
    assert publisher.activity().deadline_seconds == 15.0
    sink.gate.set()


@pytest.mark.parametrize(
    "sink", [AnsweringSink(unsent=True), AnsweringSink(dropped=True)], ids=["unsent", "dropped"]
)
def test_what_is_refused_is_not_accepted(sink: MemorySink, make_publisher: MakePublisher) -> None:
    """Neither for now nor for good."""
    publisher = make_publisher(sink)
    publisher.publish((count(),))
    publisher.start()
    assert sink.wait_for_attempts(1)
    publisher.close(0)

    assert publisher.activity().accepted_at is None
