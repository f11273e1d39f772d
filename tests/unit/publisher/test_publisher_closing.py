"""The end of a publisher: bounded in time, and what is left is counted."""

from __future__ import annotations

import logging
import threading

import pytest

from event_monitor.metrics import Metric
from event_monitor.publisher import Publisher
from event_monitor.publisher.store import Store
from event_monitor.sinks import Outcome
from event_monitor.testing import MemorySink

from ...contracts.sink import count
from .conftest import DEADLINE, GatedSink, MakePublisher, OpenSpool


class BrokenSink(MemorySink):
    """Has a bug."""

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        raise ZeroDivisionError(f"cannot send {len(metrics)}")

    def close(self) -> None:
        raise ZeroDivisionError("cannot close")


def test_a_stop_ends_the_backoff(make_publisher: MakePublisher, sink: MemorySink) -> None:
    """An hour's wait does not delay the last try."""
    # Given
    sink.fail(1)
    publisher = make_publisher(backoff_seconds=3_600)
    publisher.publish((count(),))
    publisher.start()
    assert sink.wait_for_attempts(1)

    # When
    unsent = publisher.close(DEADLINE)

    # Then
    assert unsent == 0
    assert sink.sends == ((count(),),)


def test_a_stop_gives_up_at_its_deadline(make_publisher: MakePublisher, sink: MemorySink) -> None:
    """What the sink does not take in time is counted as unsent."""
    sink.fail(1_000_000)
    publisher = make_publisher(backoff_seconds=0.01)
    publisher.publish((count(), count()))
    publisher.start()

    assert publisher.close(0.05) == 2
    assert sink.closed


def test_a_stop_that_takes_long_says_what_it_waits_for(
    make_publisher: MakePublisher, sink: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever pressed Ctrl-C sees why it does not end."""
    # Given
    caplog.set_level(logging.INFO, logger="event_monitor.publisher")
    sink.fail(1_000_000)
    publisher = make_publisher(backoff_seconds=0.01)
    publisher.publish((count(), count()))
    publisher.start()
    assert sink.wait_for_attempts(1)

    # When
    publisher.close(1.01)

    # Then
    assert (
        "waiting 1 s at most for 2 metrics to be sent, but publishing fails: "
        "The memory sink was told to fail."
    ) in [record.getMessage() for record in caplog.records]


def test_a_hanging_send_does_not_hold_up_the_stop(make_publisher: MakePublisher) -> None:
    """The stop leaves a send behind that goes on beyond the deadline."""
    # Given
    sink = GatedSink()
    publisher = make_publisher(sink)
    publisher.publish((count(),))
    publisher.start()
    assert sink.entered.wait(DEADLINE)

    # When
    unsent = publisher.close(0)

    # Then
    assert unsent == 1
    sink.gate.set()
    assert sink.wait_for_attempts(1)


def test_closing_an_unstarted_publisher_counts_what_it_was_given(
    make_publisher: MakePublisher, sink: MemorySink
) -> None:
    """A start that failed half-way can still be undone, more than once."""
    publisher = make_publisher()
    publisher.publish((count(),))

    assert publisher.close(DEADLINE) == 1
    assert publisher.close(DEADLINE) == 1
    assert sink.closed


def test_a_bug_in_the_thread_is_fatal_and_loud(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """The service is called; metrics stay; an error in closing does not stop the closing."""
    # Given
    crashes: list[BaseException] = []
    crashed = threading.Event()

    def on_crash(error: BaseException) -> None:
        crashes.append(error)
        crashed.set()

    publisher = make_publisher(BrokenSink(), on_crash=on_crash)

    # When
    publisher.start()
    publisher.publish((count(),))
    assert crashed.wait(DEADLINE)
    publisher.publish((count(),))
    unsent = publisher.close(DEADLINE)

    # Then
    assert [str(error) for error in crashes] == ["cannot send 1"]
    assert unsent == 2
    assert [
        record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR
    ] == [
        "the publisher's thread died",
        "closing the sink failed",
    ]


def test_a_stop_does_not_wait_for_a_disk_that_hangs(
    open_spool: OpenSpool, sink: MemorySink
) -> None:
    """A shot is in the middle of writing, for ever perhaps."""
    # Given
    is_writing, gate = threading.Event(), threading.Event()

    class HangingStore(Store):
        def append(self, *_batch: object, **_facts: object) -> None:
            is_writing.set()
            gate.wait(DEADLINE)

    spool = open_spool(open_store=HangingStore.open)
    publisher = Publisher(sink, spool)
    publisher.start()
    shot = threading.Thread(target=publisher.publish, args=((count(),),))
    shot.start()
    assert is_writing.wait(DEADLINE)

    # When
    unsent = publisher.close(0)

    # Then
    assert unsent == 0
    assert shot.is_alive()
    gate.set()
    shot.join(DEADLINE)
