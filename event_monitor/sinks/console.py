"""Console sink: prints each window as a table. What `--dry-run` shows; needs no AWS."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TextIO

from ..clock import SYSTEM_CLOCK, Clock
from ..distribution import Distribution
from ..metrics.metric import Metric
from ..settings import Settings
from ..text import encodable, one_line, printable
from .sink import Outcome, SinkFinding

__all__ = ["ConsoleSink", "render"]


class ConsoleSink:
    """Writes plain text to a stream, standard output unless given another.

    It needs neither settings nor a clock; the registry hands both to every sink.
    """

    destination = "standard output"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        stream: TextIO | None = None,
    ) -> None:
        del settings, clock
        self._stream = stream

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Print the metrics. What a closed or full stream does not take is dropped, counted."""
        stream = self._stream or sys.stdout
        try:
            if stream is None:
                raise OSError("standard output is closed")
            stream.write(encodable(render(metrics), stream.encoding))
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


def render(metrics: Iterable[Metric]) -> str:
    """Return the tables as text: one per window, oldest first; in each, totals before splits."""
    windows: dict[float, list[Metric]] = {}
    for metric in metrics:
        windows.setdefault(metric.timestamp, []).append(metric)
    return "".join(_table(timestamp, windows[timestamp]) for timestamp in sorted(windows))


def _table(timestamp: float, metrics: list[Metric]) -> str:
    metrics.sort(key=lambda metric: len(metric.dimensions))  # stable: keeps the sender's order
    rows = [("METRIC", "DIMENSIONS", "VALUE")]
    rows += [(metric.name, _dimensions(metric), _value(metric)) for metric in metrics]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [
        f"{name:<{widths[0]}}  {dimensions:<{widths[1]}}  {value}"
        for name, dimensions, value in rows
    ]
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
    return f"{metric.value:,.10g}{_suffix(metric.unit)}"


def _distribution(values: Distribution, unit: str) -> str:
    numbers = {
        "mean": values.sum / values.count,
        "p50": values.percentile(50),
        "p95": values.percentile(95),
        "max": values.values[-1],
    }
    shown = " ".join(f"{name}={number:.4g}{_suffix(unit)}" for name, number in numbers.items())
    return f"n={values.count:,} {shown}"


def _suffix(unit: str) -> str:
    return {"Seconds": "s", "Percent": "%", "Bytes": " bytes"}.get(unit, "")
