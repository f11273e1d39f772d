"""Window log: one line per window, as soon as its metrics are accepted. The first says where."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import BrokerLink, Role, Snapshot
from .window_line import Facts, added, facts_of, line_of, local_time

__all__ = ["WindowLog"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    facts: Facts
    closed_at: float
    link: BrokerLink


class WindowLog:
    """Logs what each window counted, as a ``SnapshotConsumer``, once its metrics are sent.

    ``on_accepted`` is the publisher's to call, in its own thread; a line that waits for it longer
    than until the next window says so. Shots that are taken ahead of time have a line together.
    ``close`` logs the last one. ``destination`` says where metrics go, once some were sent.
    """

    def __init__(
        self,
        *,
        interval_seconds: Callable[[], float],
        destination: Callable[[], str],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._destination = destination
        self._clock = clock
        self._lock = threading.Lock()
        self._waits: _Line | None = None  # for its metrics to be accepted
        self._hurried: _Line | None = None  # of an interval that is not over
        self._period: float | None = None
        self._sent = 0  # since the last line
        self._has_published = False

    def __call__(self, snapshot: Snapshot) -> None:
        """Keep the line of this window until its metrics are accepted; a standby's has none."""
        if snapshot.role is Role.STANDBY:
            with self._lock:
                self._waits = self._hurried = None
            return
        window = snapshot.window
        line = _Line(facts=facts_of(snapshot), closed_at=window.closed_at, link=snapshot.link)
        period = window.closed_at // self._interval_seconds()
        with self._lock:
            if self._hurried is not None:
                line = _joined(self._hurried, line)
            is_hurried, self._period = period == self._period, period
            if is_hurried:
                self._hurried = line
                return
            before, self._waits, self._hurried = self._waits, line, None
        if before is not None:
            self._tell(before, unsent=snapshot.publisher.unsent)

    def on_accepted(self, count: int, left: int) -> None:
        """Note that so many metrics were accepted, and how many are left to be sent."""
        with self._lock:
            is_first, self._has_published = not self._has_published, True
            self._sent += count
            line = None
            if not left:
                line, self._waits = self._waits, None
        if is_first:
            interval, destination = self._interval_seconds(), self._destination()
            next_at = (self._clock.wall() // interval + 1) * interval
            log.info(
                "published %d series to %s; next at %s",
                *(count, destination, local_time(next_at, with_seconds=True)),
                extra={"notice": "published-first", "series": count, "destination": destination},
            )
        if line is not None:
            self._tell(line, unsent=0)

    def close(self, *, unsent: int) -> None:
        """Log what was not logged yet: the last window, and how much of it is unsent."""
        with self._lock:
            lines = [line for line in (self._waits, self._hurried) if line is not None]
            self._waits = self._hurried = None
        for line in lines:
            self._tell(line, unsent=unsent)

    def _tell(self, line: _Line, *, unsent: int) -> None:
        with self._lock:
            sent, self._sent = self._sent, 0
        # A whole minute is one, but for the last, which may be cut short.
        is_minute = self._interval_seconds() % 60 == 0 and int(line.closed_at) % 60 == 0
        text = line_of(
            line.facts, closed_at=line.closed_at, link=line.link, with_seconds=not is_minute
        )
        series = f"{sent:,} series sent" if sent or not unsent else ""
        waits = f"{unsent:,} not sent yet" if unsent else ""
        facts = {**line.facts, "notice": "window", "series": sent, "unsent": unsent}
        log.info("%s · %s", text, ", ".join(filter(None, (series, waits))), extra=facts)


def _joined(earlier: _Line, line: _Line) -> _Line:
    return _Line(facts=added(earlier.facts, line.facts), closed_at=line.closed_at, link=line.link)
