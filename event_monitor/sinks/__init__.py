"""Sinks: where metrics end up. Each takes metrics, and says exactly what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..metrics import Metric

__all__ = ["Outcome", "Sink"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the metrics of one ``send``: those in none of the fields were taken.

    ``unsent`` are to be kept, whole, and sent again. ``dropped`` counts those that will never
    arrive and need not be sent again. ``failures`` counts the requests that failed for a reason
    that may pass; ``ambiguous`` says how many of these may have been applied all the same.
    ``error`` is one sentence for the log, None when nothing failed.
    """

    unsent: tuple[Metric, ...] = ()
    dropped: int = 0
    failures: int = 0
    ambiguous: int = 0
    error: str | None = None


class Sink(Protocol):
    """The contract every sink keeps. Used by one thread at a time."""

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Send them all, now. Does not retry by itself and never raises for an expected fault.

        May block for as long as its own time-outs allow. Each metric is sent with its own
        timestamp. Sending nothing is a success.
        """
        ...

    def close(self) -> None:
        """Release what the sink holds. No ``send`` follows."""
        ...
