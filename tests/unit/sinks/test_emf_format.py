"""EMF format: whole documents, within the limits, with the same count and sum."""

from __future__ import annotations

import json
from math import fsum
from typing import Any

import pytest

from event_monitor.distribution import Distribution
from event_monitor.metrics import Metric
from event_monitor.sinks.emf_format import (
    MAX_LINE_BYTES,
    Line,
    Part,
    conflict,
    encode,
    joined,
    parts_of,
)

from ...contracts.sink import NOW, count

FULL = Distribution(tuple(number / 7 for number in range(150)), tuple(range(1, 151)))


def lines_of(*metrics: Metric, high_resolution: bool = False) -> tuple[Line, ...]:
    return encode(parts_of(metrics), namespace="Shop", high_resolution=high_resolution)


def documents(*metrics: Metric, high_resolution: bool = False) -> list[dict[str, Any]]:
    lines = lines_of(*metrics, high_resolution=high_resolution)
    assert all(line.text.endswith(b"\n") and line.text.count(b"\n") == 1 for line in lines)
    return [json.loads(line.text) for line in lines]


def test_metrics_of_the_same_window_and_dimensions_share_a_line() -> None:
    """Numbers and distributions; without dimensions there is one empty set of them."""
    assert documents(
        count("TasksSent", 3),
        Metric("TaskRuntime", "Seconds", NOW, Distribution((0.5, 2.0), (3, 1))),
    ) == [
        {
            "_aws": {
                "Timestamp": 1_700_000_000_000,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "Shop",
                        "Dimensions": [[]],
                        "Metrics": [
                            {"Name": "TasksSent", "Unit": "Count"},
                            {"Name": "TaskRuntime", "Unit": "Seconds"},
                        ],
                    }
                ],
            },
            "TasksSent": 3,
            "TaskRuntime": {
                "Values": [0.5, 2.0],
                "Counts": [3, 1],
                "Max": 2.0,
                "Min": 0.5,
                "Count": 4,
                "Sum": 3.5,
            },
        }
    ]


def test_dimensions_are_members_with_allowable_values() -> None:
    """Escaped as for PutMetricData, so that both ways lead to the same series."""
    metric = Metric(
        "TasksFailed",
        "Count",
        NOW + 0.25,
        2,
        (("Environment", "prod"), ("TaskName", "a\tb")),
    )

    assert documents(metric, high_resolution=True) == [
        {
            "_aws": {
                "Timestamp": 1_700_000_000_250,
                "CloudWatchMetrics": [
                    {
                        "Namespace": "Shop",
                        "Dimensions": [["Environment", "TaskName"]],
                        "Metrics": [
                            {"Name": "TasksFailed", "Unit": "Count", "StorageResolution": 1}
                        ],
                    }
                ],
            },
            "Environment": "prod",
            "TaskName": "a\\tb",
            "TasksFailed": 2,
        }
    ]


def test_each_window_and_each_set_of_dimensions_has_its_line() -> None:
    """A line has one timestamp and one set of dimensions."""
    late = Metric("TasksSent", "Count", NOW - 60, 1.0)

    lines = lines_of(count(), count(TaskName="a"), late, count("TasksFailed"))

    assert [[part.index for part in line.parts] for line in lines] == [[0, 3], [1], [2]]


def test_a_name_that_comes_twice_is_in_two_lines() -> None:
    """A member can be there once; neither value overwrites the other."""
    first, second = documents(count(value=1), count(value=2))

    assert (first["TasksSent"], second["TasksSent"]) == (1, 2)


def test_at_most_a_hundred_metrics_are_in_a_line() -> None:
    """The directive's limit."""
    lines = lines_of(*(count(f"M{number}") for number in range(201)))

    assert [len(line.parts) for line in lines] == [100, 100, 1]


def test_a_full_distribution_is_split_and_keeps_count_and_sum() -> None:
    """At most 100 values in an array; every value with its count is there once."""
    runtime = Metric("TaskRuntime", "Seconds", NOW, FULL)

    halves = [document["TaskRuntime"] for document in documents(runtime, count())]

    values = [value for half in halves for value in half["Values"]]
    counts = [number for half in halves for number in half["Counts"]]
    assert [len(half["Values"]) for half in halves] == [100, 50]
    assert (tuple(values), tuple(counts)) == (FULL.values, FULL.counts)
    assert sum(half["Count"] for half in halves) == FULL.count
    assert fsum(value * n for value, n in zip(values, counts, strict=True)) == FULL.sum


def test_parts_are_joined_to_what_they_were() -> None:
    """Whole metrics go back to the spool; of one that was half written, the other half."""
    metrics = (count(), Metric("TaskRuntime", "Seconds", NOW, FULL), count("TasksFailed"))
    parts = list(parts_of(metrics))
    rest = Distribution(FULL.values[100:], FULL.counts[100:])

    assert joined(parts) == metrics
    assert joined(reversed(parts[:1] + parts[3:])) == (metrics[0], metrics[2])
    assert joined(parts[2:3]) == (Metric("TaskRuntime", "Seconds", NOW, rest),)


def test_lines_stay_below_the_size_limit() -> None:
    """With the longest dimensions and full arrays, all of it is still there."""
    dimensions = tuple((f"D{number:03}" + "d" * 250, "\\" * 1_024) for number in range(20))
    metrics = [Metric(f"M{number}", "Seconds", NOW, FULL, dimensions) for number in range(60)]

    lines = lines_of(*metrics)

    assert max(len(line.text) for line in lines) <= MAX_LINE_BYTES
    assert joined(part for line in lines for part in line.parts) == tuple(metrics)


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (count(TaskName="a"), None),
        (count("_aws"), "'_aws' is the name of EMF's own member"),
        (count(_aws="a"), "'_aws' is the name of EMF's own member"),
        (count(TasksSent="a"), "'TasksSent' is the name of a dimension too"),
    ],
)
def test_names_that_would_collide_are_known_before(metric: Metric, reason: str | None) -> None:
    """Metrics and dimensions are members of one object."""
    assert conflict(metric) == reason


def test_a_part_says_which_metric_it_is_of() -> None:
    """By its place in the send."""
    assert list(parts_of((count(), count(value=2)))) == [
        Part(0, count()),
        Part(1, count(value=2)),
    ]
