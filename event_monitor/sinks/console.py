"""Console sink: prints each window as a table. What `--dry-run` shows; needs no AWS."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TextIO

from ..distribution import Distribution
from ..metrics import Metric
from . import Outcome

__all__ = ["ConsoleSink", "percentile", "render"]


class ConsoleSink:
    """Writes plain text to a stream, standard output unless given another."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        """Print the metrics. What a closed or full stream does not take is dropped, counted."""
        stream = self._stream or sys.stdout
        try:
            stream.write(render(metrics))
            stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            return Outcome(
                dropped=len(metrics), failures=1, error=f"Printing the metrics failed: {error}."
            )
        return Outcome()

    def close(self) -> None:
        """Nothing to release; the stream is not ours."""


def render(metrics: Iterable[Metric]) -> str:
    """The tables as text: one per window, oldest first; in each, totals before splits."""
    windows: dict[float, list[Metric]] = {}
    for metric in metrics:
        windows.setdefault(metric.timestamp, []).append(metric)
    return "".join(_table(timestamp, windows[timestamp]) for timestamp in sorted(windows))


def _table(timestamp: float, metrics: list[Metric]) -> str:
    metrics.sort(key=lambda metric: len(metric.dimensions))  # stable: keeps the sender's order
    rows = [("METRIC", "DIMENSIONS", "VALUE")]
    rows += [(one.name, _dimensions(one), _value(one)) for one in metrics]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{name:<{widths[0]}}  {dims:<{widths[1]}}  {value}" for name, dims, value in rows]
    return "\n".join([f"Window of {_local_time(timestamp)}", *lines, "", ""])


def _local_time(timestamp: float) -> str:
    try:
        return datetime.fromtimestamp(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")
    except (ValueError, OverflowError, OSError):  # NaN, or a year nobody can print
        return repr(timestamp)


def _dimensions(metric: Metric) -> str:
    pairs = (f"{name}={value}" for name, value in metric.dimensions)
    text = " ".join(pairs) or "-"
    # A task may be called anything: control characters must not reach the terminal.
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _value(metric: Metric) -> str:
    if isinstance(metric.value, Distribution):
        return _distribution(metric.value, metric.unit)
    return f"{metric.value:,.10g}{_suffix(metric.unit)}"


def _distribution(values: Distribution, unit: str) -> str:
    numbers = {
        "mean": values.sum / values.count,
        "p50": percentile(values, 50),
        "p95": percentile(values, 95),
        "max": values.values[-1],
    }
    shown = " ".join(f"{name}={number:.4g}{_suffix(unit)}" for name, number in numbers.items())
    return f"n={values.count:,} {shown}"


def percentile(values: Distribution, percent: float) -> float:
    """The smallest value that at least ``percent`` of the values do not exceed (nearest rank)."""
    pairs: Sequence[tuple[float, int]] = tuple(zip(values.values, values.counts, strict=True))
    rank = values.count * percent / 100
    seen = 0
    for value, count in pairs:
        seen += count
        if seen >= rank:
            return value
    return pairs[-1][0]


def _suffix(unit: str) -> str:
    return {"Seconds": "s", "Percent": "%", "Bytes": " bytes"}.get(unit, "")
