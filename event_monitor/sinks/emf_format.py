"""EMF format: metrics as lines of CloudWatch's embedded metric format. Pure.

Source of the limits: "Specification: Embedded metric format" of CloudWatch's user guide. It knows
numbers and arrays of numbers only; a distribution is written as Amazon's OpenTelemetry exporter
``awsemfexporter`` writes one: Values with Counts, beside them Max, Min, Count and Sum.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ..distribution import Distribution
from ..metrics.metric import Metric
from .cloudwatch_limits import dimension_value

__all__ = ["METADATA", "Line", "Part", "conflict", "encode", "joined", "parts_of"]

METADATA = "_aws"  # the root member that says which other members are metrics
MAX_METRICS = 100  # definitions in one directive, and we write one directive a line
MAX_ARRAY = 100  # numbers in one array; a longer one is refused as a whole
MAX_LINE_BYTES = 128_000  # ours: the limit is 1 MB, but was 256 KB, where log drivers still split


@dataclass(frozen=True, slots=True)
class Part:
    """What of the send's metric number ``index`` goes into one line: all of it, or some values."""

    index: int
    metric: Metric


@dataclass(frozen=True, slots=True)
class Line:
    """One JSON object with its newline, and what is in it."""

    text: bytes
    parts: tuple[Part, ...]


def conflict(metric: Metric) -> str | None:
    """Return why the metric cannot be a member beside its own dimensions, None if it can."""
    names = [name for name, _ in metric.dimensions]
    if metric.name == METADATA or METADATA in names:
        return f"{METADATA!r} is the name of EMF's own member"
    return f"{metric.name!r} is the name of a dimension too" if metric.name in names else None


def parts_of(metrics: Iterable[Metric]) -> Iterator[Part]:
    """Cut distributions so that each part fits into one array; count and sum stay the same."""
    for index, metric in enumerate(metrics):
        value = metric.value
        if not isinstance(value, Distribution) or len(value.values) <= MAX_ARRAY:
            yield Part(index, metric)
            continue
        for first in range(0, len(value.values), MAX_ARRAY):
            some = slice(first, first + MAX_ARRAY)
            cut = Distribution(value.values[some], value.counts[some])
            yield Part(index, replace(metric, value=cut))


def joined(parts: Iterable[Part]) -> tuple[Metric, ...]:
    """Put the parts of each metric together again, in the order of the send."""
    by_index: dict[int, Metric] = {}
    for part in sorted(parts, key=lambda part: part.index):
        before, value = by_index.get(part.index), part.metric.value
        if before is None:
            by_index[part.index] = part.metric
        elif isinstance(before.value, Distribution) and isinstance(value, Distribution):
            both = Distribution(
                before.value.values + value.values, before.value.counts + value.counts
            )
            by_index[part.index] = replace(before, value=both)
    return tuple(by_index.values())


def encode(
    parts: Iterable[Part], *, namespace: str, high_resolution: bool = False
) -> tuple[Line, ...]:
    """Return the lines that hold the parts: one for each timestamp and set of dimensions.

    There are more where a limit asks for it, or a name comes twice: it can be a member once.
    """
    groups: dict[tuple[int, tuple[tuple[str, str], ...], int], list[Part]] = {}
    times: Counter[tuple[int, tuple[tuple[str, str], ...], str]] = Counter()
    for part in parts:
        metric = part.metric
        timestamp = round(metric.timestamp * 1_000)
        repeated = times[timestamp, metric.dimensions, metric.name]
        times[timestamp, metric.dimensions, metric.name] += 1
        groups.setdefault((timestamp, metric.dimensions, repeated), []).append(part)
    return tuple(
        _line(some, timestamp, namespace, high_resolution=high_resolution)
        for (timestamp, _, _), group in groups.items()
        for some in _within_limits(group)
    )


def _within_limits(group: Iterable[Part]) -> Iterator[list[Part]]:
    some: list[Part] = []
    size = 0
    for part in group:
        added = _bytes_of(part.metric)
        if some and (len(some) == MAX_METRICS or size + added > MAX_LINE_BYTES):
            yield some
            some, size = [], 0
        some.append(part)
        size += added
    if some:
        yield some


def _bytes_of(metric: Metric) -> int:
    """Return more than the metric adds to a line, its dimensions counted each time."""
    members = {**_dimensions(metric), metric.name: _value(metric.value)}
    return 2 * len(json.dumps([list(members)])) + len(json.dumps(members)) + 100


def _line(parts: list[Part], timestamp: int, namespace: str, *, high_resolution: bool) -> Line:
    dimensions = _dimensions(parts[0].metric)
    directive = {
        "Namespace": namespace,
        "Dimensions": [list(dimensions)],
        "Metrics": [_definition(part.metric, high_resolution) for part in parts],
    }
    document: dict[str, object] = {
        METADATA: {"Timestamp": timestamp, "CloudWatchMetrics": [directive]},
        **dimensions,
    }
    document |= {part.metric.name: _value(part.metric.value) for part in parts}
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return Line(f"{text}\n".encode("ascii"), tuple(parts))


def _definition(metric: Metric, high_resolution: bool) -> dict[str, object]:
    definition: dict[str, object] = {"Name": metric.name, "Unit": metric.unit}
    return {**definition, "StorageResolution": 1} if high_resolution else definition


def _dimensions(metric: Metric) -> dict[str, str]:
    return {name: dimension_value(value) for name, value in metric.dimensions}


def _value(value: float | Distribution) -> object:
    if not isinstance(value, Distribution):
        return value
    return {
        "Values": list(value.values),
        "Counts": list(value.counts),
        "Max": max(value.values),
        "Min": min(value.values),
        "Count": value.count,
        "Sum": value.sum,
    }
