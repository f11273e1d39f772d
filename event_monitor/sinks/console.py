"""Console sink: prints each window as a table. What `--dry-run` shows; needs no AWS."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TextIO

from ..clock import SYSTEM_CLOCK, Clock
from ..distribution import Distribution
from ..metrics.metric import Metric
from ..quantities import size, took
from ..settings import Settings
from ..text import encodable, one_line, printable
from .sink import Outcome, SinkFinding

__all__ = ["ConsoleSink", "render"]


class ConsoleSink:
    """Writes plain text to a stream, standard output unless given another.

    It needs no clock; the registry hands one to every sink.
    """

    destination = "standard output"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        stream: TextIO | None = None,
    ) -> None:
        del clock
        self._has_zeros = settings is None or settings.console_zeros
        self._stream = stream

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Print the metrics. What a closed or full stream does not take is dropped, counted."""
        is_closed = sys.stdout is None or sys.__stdout__ is None  # since the process's start
        stream = self._stream or sys.stdout
        try:
            if self._stream is None and is_closed:
                raise OSError("standard output is closed")
            stream.write(encodable(render(metrics, has_zeros=self._has_zeros), stream.encoding))
            stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            return Outcome(
                dropped=len(metrics),
                failures=1,
                error=f"Printing the metrics failed: {one_line(error)}.",
            )
        return Outcome()

    def check(self) -> Iterator[SinkFinding]:
        """Yield that nothing goes to CloudWatch."""
        yield SinkFinding("cloudwatch", "skipped", "metrics go to the console")

    def close(self) -> None:
        """Do nothing: the stream is not ours."""


def render(metrics: Iterable[Metric], *, has_zeros: bool = True) -> str:
    """Return the tables as text: one per window, oldest first; in each, totals before splits.

    Without ``has_zeros`` the series whose value is 0 are counted, and no more.
    """
    windows: dict[float, list[Metric]] = {}
    for metric in metrics:
        windows.setdefault(metric.timestamp, []).append(metric)
    tables = (_table(at, windows[at], has_zeros=has_zeros) for at in sorted(windows))
    return "".join(tables)


def _table(timestamp: float, metrics: list[Metric], *, has_zeros: bool) -> str:
    shown = [metric for metric in metrics if has_zeros or metric.value]
    # What belongs to one task, worker or queue stands together, in the sender's order.
    shown.sort(key=lambda metric: (len(metric.dimensions), metric.dimensions))
    rows = [("METRIC", "DIMENSIONS", "VALUE")]
    rows += [(metric.name, _dimensions(metric), _value(metric)) for metric in shown]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [
        f"{name:<{widths[0]}}  {dimensions:<{widths[1]}}  {value}"
        for name, dimensions, value in rows
    ]
    if zeros := len(metrics) - len(shown):
        lines.append(f"and {zeros:,} of value 0")
    return "\n".join([f"Window of {_local_time(timestamp)}", *lines, "", ""])


def _local_time(timestamp: float) -> str:
    try:
        return datetime.fromtimestamp(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    except (ValueError, OverflowError, OSError):  # NaN, or a year nobody can print
        return repr(timestamp)


def _dimensions(metric: Metric) -> str:
    pairs = (f"{name}={value}" for name, value in metric.dimensions)
    return printable(" ".join(pairs)) or "-"


def _value(metric: Metric) -> str:
    if isinstance(metric.value, Distribution):
        return _distribution(metric.value, metric.unit)
    return _quantity(metric.value, metric.unit)


def _distribution(values: Distribution, unit: str) -> str:
    numbers = {
        "mean": values.sum / values.count,
        "p50": values.percentile(50),
        "p95": values.percentile(95),
        "max": values.values[-1],
    }
    shown = ", ".join(f"{name} {_quantity(number, unit)}" for name, number in numbers.items())
    return f"{values.count:,} × {shown}"


def _quantity(value: float, unit: str) -> str:
    if unit == "Seconds":
        return took(value)
    if unit == "Bytes":
        return size(value)
    return f"{value:,.10g}{' %' if unit == 'Percent' else ''}"
