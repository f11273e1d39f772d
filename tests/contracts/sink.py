"""What every sink promises. Subclass it with fixtures `sink` and `taken`."""

from __future__ import annotations

from collections.abc import Callable

from event_monitor.distribution import Distribution
from event_monitor.metrics import Metric
from event_monitor.sinks import Outcome, Sink

NOW = 1_700_000_000.0


def count(name: str = "TasksSent", value: float = 1.0, **dimensions: str) -> Metric:
    """A metric of the current minute."""
    return Metric(name, "Count", NOW, value, tuple(dimensions.items()))


class SinkContract:
    """Every sink passes these. ``taken()`` says what arrived, as text or values: just truthy."""

    def test_a_send_that_works_leaves_nothing(
        self, sink: Sink, taken: Callable[[], object]
    ) -> None:
        """What was taken is in no field of the outcome."""
        outcome = sink.send((count(), count("TasksSucceeded", 0.0, TaskName="a")))

        assert outcome == Outcome()
        assert taken()

    def test_distributions_are_taken(self, sink: Sink, taken: Callable[[], object]) -> None:
        """A distribution is as good as a number."""
        runtime = Metric("TaskRuntime", "Seconds", NOW, Distribution((0.5, 2.0), (3, 1)))

        assert sink.send((runtime,)) == Outcome()
        assert taken()

    def test_nothing_is_a_success(self, sink: Sink) -> None:
        """Sending nothing works, and says nothing."""
        assert sink.send(()) == Outcome()

    def test_metrics_of_several_windows_go_together(
        self, sink: Sink, taken: Callable[[], object]
    ) -> None:
        """After an outage one send may hold many minutes."""
        late = Metric("TasksSent", "Count", NOW - 3_600, 1.0)

        assert sink.send((late, count())) == Outcome()
        assert taken()

    def test_closing_twice_is_harmless(self, sink: Sink) -> None:
        """A stop that is interrupted may close again."""
        sink.close()
        sink.close()
