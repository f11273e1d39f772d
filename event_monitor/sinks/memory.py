"""Memory sink: keeps what it is sent, and fails when asked to. For tests, yours and ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from ..distribution import Distribution
from ..metrics.metric import Metric
from .sink import Outcome, SinkFinding

__all__ = ["MemorySink"]


class MemorySink:
    """A sink that collects. Thread-safe.

    ``sends`` holds one tuple of metrics per accepted send, ``metrics`` all of them in order.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sends: list[tuple[Metric, ...]] = []
        self._fail = 0
        self._ambiguous = False
        self._attempts = 0
        self.closed = False

    def fail(self, times: int, *, ambiguous: bool = False) -> None:
        """Take nothing of the next ``times`` sends."""
        with self._changed:
            self._fail, self._ambiguous = times, ambiguous

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Keep the metrics, or refuse them all while asked to fail."""
        with self._changed:
            self._attempts += 1
            self._changed.notify_all()
            if self._fail > 0:
                self._fail -= 1
                return Outcome(
                    unsent=metrics,
                    failures=1,
                    ambiguous=int(self._ambiguous),
                    error="The memory sink was told to fail.",
                )
            self._sends.append(metrics)
            return Outcome()

    def check(self) -> Iterator[SinkFinding]:
        """Yield that metrics go nowhere."""
        yield SinkFinding("memory", "skipped", "metrics stay in memory")

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    @property
    def sends(self) -> tuple[tuple[Metric, ...], ...]:
        """Return the accepted sends, oldest first."""
        with self._changed:
            return tuple(self._sends)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Return every accepted metric, oldest first."""
        return tuple(metric for metrics in self.sends for metric in metrics)

    @property
    def attempts(self) -> int:
        """Return how many sends there were, failed ones included."""
        with self._changed:
            return self._attempts

    def sum(self, name: str, /, **dimensions: str) -> float:
        """Return the sum of a metric's values over all sends; the dimensions must match exactly."""
        wanted = sorted(dimensions.items())
        return sum(
            metric.value.sum if isinstance(metric.value, Distribution) else metric.value
            for metric in self.metrics
            if metric.name == name and sorted(metric.dimensions) == wanted
        )

    def wait_for_attempts(self, attempts: int, *, timeout_seconds: float = 10.0) -> bool:
        """Block until there were that many sends; False when it took longer than the time-out."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._attempts >= attempts, timeout=timeout_seconds
            )
