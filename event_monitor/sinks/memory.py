"""Memory sink: keeps what it is sent, and fails when told to. For tests, yours and ours."""

from __future__ import annotations

import threading

from ..distribution import Distribution
from ..metrics import Metric
from . import Outcome

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
        """Keep the metrics, or refuse them all while told to fail."""
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

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    @property
    def sends(self) -> tuple[tuple[Metric, ...], ...]:
        """The accepted sends, oldest first."""
        with self._changed:
            return tuple(self._sends)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every accepted metric, oldest first."""
        return tuple(metric for metrics in self.sends for metric in metrics)

    @property
    def attempts(self) -> int:
        """How many sends there were, failed ones included."""
        with self._changed:
            return self._attempts

    def sum(self, name: str, /, **dimensions: str) -> float:
        """The sum of a metric's values over all sends; the dimensions must match exactly."""
        wanted = sorted(dimensions.items())
        return sum(
            one.value.sum if isinstance(one.value, Distribution) else one.value
            for one in self.metrics
            if one.name == name and sorted(one.dimensions) == wanted
        )

    def wait_for_attempts(self, attempts: int, *, timeout_seconds: float = 10.0) -> bool:
        """Block until there were that many sends; False when it took longer than the time-out."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._attempts >= attempts, timeout=timeout_seconds
            )
