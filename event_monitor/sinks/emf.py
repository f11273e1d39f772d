"""EMF sink: metrics as lines of the embedded metric format, which CloudWatch Logs turns back.

For places without IAM or a way out for the monitoring API: whatever ships the log of the process
to CloudWatch Logs ships the metrics. A line that was written completely counts as sent.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from ..catalog import CATALOG
from ..clock import SYSTEM_CLOCK, Clock
from ..errors import SettingsError
from ..metrics.metric import Metric
from ..settings import Settings
from ..text import one_line
from .cloudwatch_limits import MAX_AGE_SECONDS, Refusals, Refused, separate
from .emf_format import METADATA, Line, Part, conflict, encode, joined, parts_of
from .line_output import AppendedFile, Output, StandardOutput, write_until
from .sink import Outcome, SinkFinding

__all__ = ["EmfSink"]

WRITE_SECONDS = 10.0  # for one send; what a stalled reader does not take then waits in the spool


@dataclass(frozen=True, slots=True)
class _Begun:
    """A line of which the reader has taken only the beginning."""

    rest: bytes
    parts: tuple[Part, ...]


class EmfSink:
    """Writes one line per window and set of dimensions to standard output or to ``emf_file``.

    A line that was cut off by a slow reader or a full disk is finished before anything else, so
    that every line is whole. Until then its metrics are ``unsent``; when they come again after it
    was finished, they are left out, so that nothing is doubled. A process that is killed inside a
    line leaves it cut off; a file's is ended by the next process. Raises ``SettingsError`` for a
    static dimension whose name a metric needs.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        stdout: IO[str] | None = sys.__stdout__,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        _require_distinct_names(settings)
        self._settings = settings
        self._clock: Clock = clock
        self._write_seconds = write_seconds
        self._refusals = Refusals()
        self._begun: _Begun | None = None
        self._finished: Counter[Metric] = Counter()  # were reported as unsent, and are written
        self._output: Output = (
            AppendedFile(settings.emf_file) if settings.emf_file else StandardOutput(stdout)
        )

    @property
    def destination(self) -> str:
        """Return namespace and file, for people."""
        where = self._settings.emf_file or "standard output"
        return f"{self._settings.namespace}, as EMF on {where}"

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Write what is valid; wait for the reader for ``write_seconds`` at most, in all."""
        now = self._clock.wall()
        valid, refused = _separate(metrics)
        self._refusals.warn(refused, now=self._clock.monotonic())
        unsent: tuple[Metric, ...] = ()
        error = None
        if valid:
            unsent, error = self._write(valid, now=now)
        return Outcome(
            unsent=unsent,
            dropped=len(refused),
            failures=int(error is not None),
            error=None if error is None else f"Writing to {self._output.name} failed: {error}.",
        )

    def check(self) -> Iterator[SinkFinding]:
        """Yield whether the destination can be written to. Writes nothing."""
        problem = self._output.problem()
        if problem is None:
            message = f"lines go to {self._output.name}; CloudWatch Logs has to get them from there"
            yield SinkFinding("emf", "ok", message)
        else:
            yield SinkFinding(
                "emf",
                "failed",
                f"{self._output.name} cannot be written to: {problem}",
                "Set emf_file to a file this user may write to, or leave it empty for standard "
                "output.",
            )

    def close(self) -> None:
        """End an unfinished line as it is: its metrics are unsent, and go out with the next run."""
        if self._begun is not None:
            try:
                descriptor, elsewhere = self._output.open()
            except OSError:
                elsewhere = True
            if not elsewhere:
                deadline = self._clock.monotonic() + min(0.1, self._write_seconds)
                write_until(descriptor, b"\n", deadline=deadline, clock=self._clock)
            self._begun = None
        self._output.close()

    def _write(self, metrics: list[Metric], *, now: float) -> tuple[tuple[Metric, ...], str | None]:
        """Return the metrics that were not written, and why."""
        deadline = self._clock.monotonic() + self._write_seconds
        try:
            descriptor, elsewhere = self._output.open()
        except OSError as error:
            return tuple(metrics), one_line(error.strerror or error)
        if elsewhere:
            self._begun = None  # its beginning has been moved away, or deleted
        problem = self._finish(descriptor, deadline)
        parts = [part for part in parts_of(metrics) if not self._is_finished(part.metric)]
        waiting = deque(
            encode(
                parts,
                namespace=self._settings.namespace,
                high_resolution=self._settings.high_resolution,
            )
        )
        while waiting and problem is None:
            problem = self._put(waiting[0], descriptor, deadline)
            if problem is None:
                waiting.popleft()
        self._forget_finished(before=now - MAX_AGE_SECONDS)
        return joined(part for line in waiting for part in line.parts), problem

    def _put(self, line: Line, descriptor: int, deadline: float) -> str | None:
        written, problem = write_until(descriptor, line.text, deadline=deadline, clock=self._clock)
        if problem is not None and written:
            self._begun = _Begun(line.text[written:], line.parts)
        return problem

    def _finish(self, descriptor: int, deadline: float) -> str | None:
        """Write the rest of a line that was begun; return why not, None if there is none left."""
        if self._begun is None:
            return None
        written, problem = write_until(
            descriptor, self._begun.rest, deadline=deadline, clock=self._clock
        )
        if problem is None:
            self._finished.update(part.metric for part in self._begun.parts)
            self._begun = None
        else:
            self._begun = _Begun(self._begun.rest[written:], self._begun.parts)
        return problem

    def _is_finished(self, metric: Metric) -> bool:
        """Return whether it was written by finishing its line; each is left out once."""
        if not self._finished or not self._finished[metric]:
            return False
        self._finished[metric] -= 1
        return True

    def _forget_finished(self, *, before: float) -> None:
        """Forget what has come again, or, after so long, never will."""
        self._finished = Counter(
            {
                metric: times
                for metric, times in self._finished.items()
                if times and metric.timestamp >= before
            }
        )


def _separate(metrics: tuple[Metric, ...]) -> tuple[list[Metric], list[Refused]]:
    valid, refused = separate(metrics)
    reasons = [(metric, conflict(metric)) for metric in valid]
    refused += [(metric, reason) for metric, reason in reasons if reason is not None]
    return [metric for metric, reason in reasons if reason is None], refused


def _require_distinct_names(settings: Settings) -> None:
    """Metrics and dimensions are members of one JSON object."""
    taken = {METADATA, *(spec.name for spec in CATALOG)}
    for name, _ in settings.dimensions:
        if name in taken:
            raise SettingsError(
                f"dimensions has {name!r}, which the sink `emf` needs as the name of a metric or "
                "of its own; call that dimension something else."
            )
