"""The publisher: everything arrives once, or is counted; nobody waits for the network."""

from __future__ import annotations

import logging
import random
import threading

import pytest

from event_monitor.metrics import Metric
from event_monitor.publisher import full_jitter
from event_monitor.publisher.spool import Spool
from event_monitor.sinks import Outcome
from event_monitor.snapshot import PublisherReport
from event_monitor.testing import FakeClock, MemorySink

from ...contracts.sink import NOW, count
from .conftest import DEADLINE, GatedSink, MakePublisher


class ScriptedSink(MemorySink):
    """Answers with the given outcomes first, then takes everything."""

    def __init__(self, *outcomes: Outcome) -> None:
        super().__init__()
        self._outcomes = list(outcomes)

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        if self._outcomes:
            outcome = self._outcomes.pop(0)
            super().send(tuple(metric for metric in metrics if metric not in outcome.unsent))
            return outcome
        return super().send(metrics)


def test_what_is_published_arrives_in_order(
    make_publisher: MakePublisher, sink: MemorySink
) -> None:
    """Oldest first, each batch with its own timestamps, nothing left."""
    # Given
    publisher = make_publisher()
    publisher.start()

    # When
    for minute in range(3):
        publisher.publish((Metric("A", "Count", NOW + 60 * minute, 1.0),))
    unsent = publisher.close(DEADLINE)

    # Then
    assert unsent == 0
    assert [metric.timestamp for metric in sink.metrics] == [NOW, NOW + 60, NOW + 120]
    assert sink.closed


def test_what_is_left_from_before_is_sent_first(
    make_publisher: MakePublisher, sink: MemorySink, spool: Spool
) -> None:
    """A start goes on where the last process ended."""
    spool.append((count(value=1),))

    publisher = make_publisher()
    publisher.start()
    publisher.publish((count(value=2),))
    publisher.close(DEADLINE)

    assert sink.metrics == (count(value=1), count(value=2))


def test_a_failed_send_is_repeated_whole(make_publisher: MakePublisher, sink: MemorySink) -> None:
    """Failures cost time, not metrics, and each is counted."""
    # Given
    sink.fail(3, ambiguous=True)
    publisher = make_publisher()
    publisher.publish((count(value=1), count(value=2)))

    # When
    publisher.start()
    assert sink.wait_for_attempts(4)
    unsent = publisher.close(DEADLINE)

    # Then
    assert unsent == 0
    assert sink.sends == ((count(value=1), count(value=2)),)
    assert publisher.report() == PublisherReport(failures=3, ambiguous=3, flush_seconds=0.0)


def test_only_the_unsent_rest_is_repeated(make_publisher: MakePublisher) -> None:
    """What was acknowledged is not sent again; what was dropped is counted."""
    # Given
    sink = ScriptedSink(Outcome(unsent=(count(value=3),), dropped=1, failures=1, error="No."))
    publisher = make_publisher(sink)
    publisher.publish((count(value=1), count(value=3)))

    # When
    publisher.start()
    unsent = publisher.close(DEADLINE)

    # Then
    assert unsent == 0
    assert sink.sends == ((count(value=1),), (count(value=3),))
    assert publisher.report() == PublisherReport(failures=1, dropped=1, flush_seconds=0.0)


def test_publishing_waits_for_no_network(make_publisher: MakePublisher) -> None:
    """While a send hangs, the camera goes on; all of it arrives later."""
    # Given
    sink = GatedSink()
    publisher = make_publisher(sink)
    publisher.start()
    publisher.publish((count(value=0),))
    assert sink.entered.wait(DEADLINE)

    # When
    for n in range(1, 5):
        publisher.publish((count(value=n),))
    sink.gate.set()

    # Then
    assert publisher.close(DEADLINE) == 0
    assert [metric.value for metric in sink.metrics] == [0, 1, 2, 3, 4]


def test_every_failure_is_in_exactly_one_report(
    make_publisher: MakePublisher, sink: MemorySink
) -> None:
    """Reports taken at any moment add up."""
    # Given
    sink.fail(50)
    publisher = make_publisher()
    publisher.publish((count(),))
    publisher.start()

    # When
    reports = []
    while not sink.wait_for_attempts(51, timeout_seconds=0):
        reports.append(publisher.report())
    publisher.close(DEADLINE)
    reports.append(publisher.report())

    # Then
    assert sum(report.failures for report in reports) == 50
    assert publisher.report() == PublisherReport(flush_seconds=0.0)


def test_what_the_spool_loses_is_reported(make_publisher: MakePublisher, spool: Spool) -> None:
    """What no sink could take is a loss like any other."""
    publisher = make_publisher()
    publisher.publish((count(TaskName="\udc80"), count(), count(TaskName="\udc80")))

    assert publisher.report() == PublisherReport(dropped=2, unsent=1)
    assert publisher.report() == PublisherReport(unsent=1)
    assert len(spool) == 1


def test_a_sink_that_cannot_work_yet_says_so_at_the_start(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """Before there is anything to send; and again when it works."""
    # Given
    caplog.set_level(logging.INFO, logger="event_monitor.publisher")
    asked = threading.Event()

    class Unprepared(MemorySink):
        def prepare(self) -> str | None:
            asked.set()
            return "No AWS credentials are found."

    # When
    publisher = make_publisher(Unprepared())
    publisher.start()
    assert asked.wait(DEADLINE)
    publisher.publish((count(),))
    publisher.close(DEADLINE)

    # Then
    assert [record.getMessage() for record in caplog.records] == [
        "publishing cannot work yet, metrics are kept: No AWS credentials are found.",
        "publishing again, after 1 failures in 0 s",
    ]


def test_failures_are_logged_once_a_minute_and_their_end_too(
    make_publisher: MakePublisher, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """No flood in the log, and no silence either."""
    # Given
    caplog.set_level(logging.INFO, logger="event_monitor.publisher")

    class SlowlyFailing(MemorySink):
        def send(self, metrics: tuple[Metric, ...]) -> Outcome:
            clock.advance(25)
            return super().send(metrics)

    sink = SlowlyFailing()
    sink.fail(4)
    publisher = make_publisher(sink)
    publisher.publish((count(), count()))

    # When
    publisher.start()
    assert sink.wait_for_attempts(5)
    publisher.close(DEADLINE)

    # Then
    assert [record.getMessage() for record in caplog.records] == [
        "publishing failed, 2 metrics wait: The memory sink was told to fail. "
        "(failures in a row: 1)",
        "publishing failed, 2 metrics wait: The memory sink was told to fail. "
        "(failures in a row: 4)",
        "publishing again, after 4 failures in 100 s",
    ]


def test_the_backoff_is_random_and_capped() -> None:
    """Full jitter: anything from nothing to 2, 4, 8 … seconds, at most a minute."""
    uniform = random.Random(7).uniform
    waits = {
        failures: [full_jitter(failures, uniform=uniform) for _ in range(1_000)]
        for failures in (1, 3, 500)
    }

    assert all(0 <= wait <= 2 for wait in waits[1])
    assert all(0 <= wait <= 8 for wait in waits[3])
    assert all(0 <= wait <= 60 for wait in waits[500])
    assert max(waits[500]) > 59
    assert min(waits[500]) < 1


def test_who_wants_to_know_is_told_how_many_metrics_arrived_and_how_many_wait(
    make_publisher: MakePublisher,
) -> None:
    """Nothing is told of a send that failed whole; what was dropped has not arrived."""
    # Given
    first, second = count(value=1), count(value=2)
    accepted: list[tuple[int, int]] = []
    sink = ScriptedSink(
        Outcome(unsent=(first, second), failures=1, error="Away."),
        Outcome(unsent=(second,), failures=1, error="Away."),
        Outcome(dropped=1),
    )
    publisher = make_publisher(sink, on_accepted=lambda *facts: accepted.append(facts))

    # When
    publisher.publish((first, second))
    publisher.publish((first, second))
    publisher.start()
    publisher.close(DEADLINE)

    # Then
    assert accepted == [(1, 3), (2, 0)]
