"""What every sink promises. Subclass it with fixtures `sink`, `broken_sink` and `taken`."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from event_monitor import SinkFinding
from event_monitor.distribution import Distribution
from event_monitor.metrics import Metric
from event_monitor.sinks import Outcome, Sink

NOW = 1_700_000_000.0

Taken = Callable[[], list[tuple[str, float]]]


def count(name: str = "TasksSent", value: float = 1.0, **dimensions: str) -> Metric:
    """A metric of the current minute."""
    return Metric(name, "Count", NOW, value, tuple(dimensions.items()))


#: One of each sort: totals, splits, a full distribution, a late window, what CloudWatch refuses.
MIXED = (
    count(),
    count("TasksSucceeded", 0.0, TaskName="a"),
    count("TasksSucceeded", 2.0, TaskName="\x1b[2J\n"),
    Metric("TaskRuntime", "Seconds", NOW, Distribution((0.5, 2.0), (3, 1))),
    Metric(
        "TaskQueueTime", "Seconds", NOW, Distribution(tuple(map(float, range(150))), (2,) * 150)
    ),
    Metric("TasksSent", "Count", NOW - 3_600, 1.0),
    count(value=math.nan),
    Metric("TasksSent", "Count", NOW - 15 * 86_400, 1.0),
)


class SinkContract:
    """Every sink passes these.

    ``taken()`` returns (metric name, timestamp) of each metric that arrived, in any order.
    ``broken_sink`` is one whose destination takes nothing at all.
    """

    @pytest.fixture
    def sink(self) -> Sink:
        """A sink whose destination is well."""
        raise NotImplementedError

    @pytest.fixture
    def broken_sink(self) -> Sink:
        """A sink whose destination takes nothing."""
        raise NotImplementedError

    @pytest.fixture
    def taken(self) -> Taken:
        """What arrived at the destination of ``sink``."""
        raise NotImplementedError

    def test_a_send_that_works_leaves_nothing(self, sink: Sink, taken: Taken) -> None:
        """What was taken is in no field of the outcome."""
        outcome = sink.send((count(), count("TasksSucceeded", 0.0, TaskName="a")))

        assert outcome == Outcome()
        assert sorted(taken()) == [("TasksSent", NOW), ("TasksSucceeded", NOW)]

    def test_every_metric_is_taken_unsent_or_dropped(self, sink: Sink, taken: Taken) -> None:
        """To the number, with some that CloudWatch would refuse among them."""
        outcome = sink.send(MIXED)

        assert len(taken()) + len(outcome.unsent) + outcome.dropped == len(MIXED)
        assert outcome.unsent == ()

    def test_distributions_are_taken(self, sink: Sink, taken: Taken) -> None:
        """A distribution is as good as a number."""
        runtime = Metric("TaskRuntime", "Seconds", NOW, Distribution((0.5, 2.0), (3, 1)))

        assert sink.send((runtime,)) == Outcome()
        assert taken() == [("TaskRuntime", NOW)]

    def test_nothing_is_a_success(self, sink: Sink, taken: Taken) -> None:
        """Sending nothing works, and writes nothing."""
        assert sink.send(()) == Outcome()
        assert taken() == []

    def test_each_metric_keeps_its_own_timestamp(self, sink: Sink, taken: Taken) -> None:
        """After an outage one send may hold many minutes."""
        windows = tuple(Metric("TasksSent", "Count", NOW - ago, 1.0) for ago in (3_600, 60, 0))

        assert sink.send(windows) == Outcome()
        assert sorted(taken()) == [("TasksSent", window.timestamp) for window in windows]

    def test_a_broken_destination_loses_nothing_unsaid(self, broken_sink: Sink) -> None:
        """Kept or dropped, counted, and one sentence why."""
        metrics = (count(), count("TasksSucceeded", 2.0))

        outcome = broken_sink.send(metrics)

        assert len(outcome.unsent) + outcome.dropped == len(metrics)
        assert outcome.failures == 1
        assert outcome.error

    def test_a_check_finds_something_and_says_it(self, sink: Sink, taken: Taken) -> None:
        """One finding or more; the only trace it may leave is MonitorCheck."""
        findings = list(sink.check())

        assert findings
        assert all(isinstance(finding, SinkFinding) for finding in findings)
        assert {name for name, _ in taken()} <= {"MonitorCheck"}

    def test_a_check_of_a_broken_destination_raises_nothing(self, broken_sink: Sink) -> None:
        """It is a finding like any other."""
        assert list(broken_sink.check())

    def test_closing_twice_is_harmless(self, sink: Sink) -> None:
        """A stop that is interrupted may close again; a sink need not have been used."""
        sink.close()
        sink.close()
