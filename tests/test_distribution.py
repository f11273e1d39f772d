"""Distribution: bounded values with exact count and sum."""

from __future__ import annotations

import math
import random

import pytest

from event_monitor.distribution import MAX_VALUES, Distribution, Recorder


def recorded(values: list[float]) -> Distribution:
    recorder = Recorder()
    for value in values:
        recorder.record(value)
    return recorder.freeze()


def percentile(distribution: Distribution, q: float) -> float:
    rank, seen = q * distribution.count, 0
    for value, count in zip(distribution.values, distribution.counts, strict=True):
        seen += count
        if seen >= rank:
            return value
    raise AssertionError


def test_few_values_are_kept_as_they_are() -> None:
    """Up to 150 distinct values nothing is rounded."""
    assert recorded([0.5, 2.0, 0.5, 0.0]) == Distribution((0.0, 0.5, 2.0), (1, 2, 1))


def test_nothing_recorded_is_false() -> None:
    """An empty distribution cannot be published, so it can be asked."""
    assert not recorded([])
    assert recorded([0.0])


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.lognormvariate(0, 1),
        lambda rng: rng.uniform(0.001, 3_600),
        lambda rng: 10 ** rng.uniform(-9, 9),
        lambda rng: rng.choice([0.0, rng.random()]),
    ],
    ids=["lognormal", "uniform", "eighteen decades", "half zeros"],
)
def test_many_values_keep_their_count_and_sum_exactly(draw) -> None:  # type: ignore[no-untyped-def]
    """Bucketing moves no second and loses no task."""
    rng = random.Random(1)
    values = [draw(rng) for _ in range(20_000)]
    distribution = recorded(values)
    assert len(distribution.values) <= MAX_VALUES
    assert distribution.count == 20_000
    assert math.isclose(distribution.sum, math.fsum(values), rel_tol=1e-12)


def test_percentiles_of_a_usual_spread_are_within_five_percent() -> None:
    """Run times over three decades."""
    rng = random.Random(2)
    values = sorted(10 ** rng.uniform(-2, 1) for _ in range(20_000))
    distribution = recorded(values)
    for q in (0.5, 0.95, 0.99):
        exact = values[math.ceil(q * len(values)) - 1]
        assert abs(percentile(distribution, q) / exact - 1) < 0.05


def test_merging_adds_counts_and_sums() -> None:
    """The total of all tasks is the merge of each."""
    rng = random.Random(3)
    parts = [[rng.lognormvariate(m, 2) for _ in range(3_000)] for m in range(4)]
    merged = Distribution.merged(recorded(part) for part in parts)
    assert len(merged.values) <= MAX_VALUES
    assert merged.count == 12_000
    assert math.isclose(merged.sum, math.fsum(v for part in parts for v in part), rel_tol=1e-12)


def test_merging_equal_values_adds_their_counts() -> None:
    """Values are distinct in the result."""
    merged = Distribution.merged([Distribution((1.0, 2.0), (1, 1)), Distribution((2.0,), (5,))])
    assert merged == Distribution((1.0, 2.0), (1, 6))


def test_values_ascend_and_counts_are_positive() -> None:
    """What CloudWatch expects of Values and Counts."""
    distribution = recorded([random.Random(4).random() for _ in range(5_000)])
    assert list(distribution.values) == sorted(set(distribution.values))
    assert min(distribution.counts) >= 1
