"""Sink: the contract of every destination of metrics, and the values it answers with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from ..errors import UnavailableError
from ..metrics.metric import Metric

__all__ = ["Outcome", "Sink", "SinkFinding", "SinkUnavailableError"]


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


@dataclass(frozen=True, slots=True)
class SinkFinding:
    """One thing ``check`` looked at: what was found, and what to do, one step per line.

    ``name`` is a word or two, such as "credentials". ``status`` means: note, good to know;
    warning, works, but not as one would expect; failed, will not work; skipped, not looked at.
    """

    name: str
    status: Literal["ok", "note", "warning", "failed", "skipped"]
    message: str
    remedy: str = ""


class SinkUnavailableError(UnavailableError):
    """A sink could never work as it is configured; ``finding`` says the same for ``check``."""

    def __init__(self, sentence: str, finding: SinkFinding) -> None:
        super().__init__(sentence)
        self.finding = finding


class Sink(Protocol):
    """The contract every sink keeps. Used by one thread at a time.

    A sink is made by ``factory(settings, clock=clock)``. Making it validates and does no network
    I/O; it raises ``UnavailableError`` or ``SettingsError`` for what can never work.

    It may also have a method ``prepare() -> str | None``, which is called once, ahead of the first
    ``send``: it may wait as long as that, and returns a sentence if a ``send`` could not work now.

    For the health check it may also have ``deadline_seconds``, the longest that one of its requests
    takes, and ``request_started_at``, when the last one began, by the monotonic clock. Without them
    a ``send`` that takes two minutes makes the monitor unhealthy. One that makes several requests
    may have ``may_send``, which is replaced by what it has to ask before each: what must not be
    sent any more is ``unsent``, without an error. One to which time matters may have ``age_of``,
    which is replaced by what knows how many seconds ago a timestamp was given, None if it does not.
    ``destination`` is where what it took can be found, for the log, such as "Shop in eu-west-1"; it
    is read after a ``send``.
    """

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Send them all, now. Does not retry by itself and never raises for an expected fault.

        May block for as long as its own time-outs allow. Each metric is sent with its own
        timestamp. Sending nothing is a success.
        """
        ...

    def check(self) -> Iterator[SinkFinding]:
        """Yield what `event-monitor check` shows about the destination: one finding or more.

        Never raises. May leave one trace at the destination, which its finding names.
        """
        ...

    def close(self) -> None:
        """Release what the sink holds. No ``send`` follows; closing twice is harmless."""
        ...
