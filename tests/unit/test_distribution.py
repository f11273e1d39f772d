"""Distribution: bounded values with exact count and sum."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from event_monitor.distribution import MAX_VALUES, Distribution, Recorder


def recorded(values: list[float]) -> Distribution:
    recorder = Recorder()
    for value in values:
        recorder.record(value)
    return recorder.freeze()


def test_few_values_are_kept_exactly() -> None:
    """Up to 150 distinct values nothing is rounded."""
    assert recorded([0.5, 2.0, 0.5, 0.0]) == Distribution((0.0, 0.5, 2.0), (1, 2, 1))


def test_nothing_recorded_is_false() -> None:
    """An empty distribution cannot be published, so it can be asked."""
    assert not recorded([])
    assert recorded([0.0])


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1.0), (50, 2.0), (75, 2.0), (76, 10.0), (95, 10.0), (100, 10.0)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    """A percentile is a value that occurred."""
    assert Distribution((1.0, 2.0, 10.0), (1, 2, 1)).percentile(percent) == expected


@pytest.mark.parametrize(
    ("distribution", "percent"),
    [
        (Distribution(), 50),
        (Distribution((1.0,), (1,)), -1),
        (Distribution((1.0,), (1,)), 100.1),
        (Distribution((1.0,), (1,)), math.nan),
    ],
)
def test_a_percentile_that_does_not_exist_is_an_error(
    distribution: Distribution, percent: float
) -> None:
    """Neither no values nor a percent that is none has an answer."""
    with pytest.raises(ValueError, match="percentile"):
        distribution.percentile(percent)


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
def test_many_values_keep_their_count_and_sum_exactly(
    draw: Callable[[random.Random], float],
) -> None:
    """Buckets lose neither a value nor a second."""
    rng = random.Random(1)
    values = [draw(rng) for _ in range(20_000)]
    distribution = recorded(values)
    assert len(distribution.values) <= MAX_VALUES
    assert distribution.count == 20_000
    assert math.isclose(distribution.sum, math.fsum(values), rel_tol=1e-12)


@pytest.mark.parametrize(
    ("decades", "error"), [(2.75, 0.032), (5.5, 0.063)], ids=["usual spread", "wide spread"]
)
def test_percentiles_are_off_by_half_a_bucket(decades: float, error: float) -> None:
    """16 buckets per power of two while there is room; then the small ones share in pairs."""
    rng = random.Random(2)
    values = sorted(10 ** rng.uniform(-2, decades - 2) for _ in range(100_000))
    distribution = recorded(values)
    for percent in (5, 25, 50, 95, 99, 99.9, 100):
        exact = values[math.ceil(len(values) * percent / 100) - 1]
        assert abs(distribution.percentile(percent) / exact - 1) < error


def test_percentiles_of_a_usual_spread_are_within_five_percent() -> None:
    """Run times over three decades."""
    rng = random.Random(2)
    values = sorted(10 ** rng.uniform(-2, 1) for _ in range(20_000))
    distribution = recorded(values)
    for percent in (50, 95, 99):
        exact = values[math.ceil(len(values) * percent / 100) - 1]
        assert abs(distribution.percentile(percent) / exact - 1) < 0.05


def test_only_the_smallest_times_get_wider_buckets() -> None:
    """Only as many as needed, so that high percentiles stay precise."""
    rng = random.Random(8)
    values = sorted(10 ** rng.uniform(-2, 2) for _ in range(100_000))
    distribution = recorded(values)
    assert len(distribution.values) == MAX_VALUES
    for percent in (50, 75, 95, 99, 99.9, 100):
        exact = values[math.ceil(len(values) * percent / 100) - 1]
        assert abs(distribution.percentile(percent) / exact - 1) < 0.032


def test_times_below_a_tenth_of_a_millisecond_share_a_bucket() -> None:
    """Nobody tunes those, and their many powers of two would take the room of the rest."""
    rng = random.Random(5)
    distribution = recorded([10 ** rng.uniform(-9, -4) for _ in range(1_000)] + [0.0] * 9 + [2.0])
    assert (len(distribution.values), distribution.counts) == (2, (1_009, 1))


def test_minus_zero_is_zero() -> None:
    """JSON has it, and it is not below zero."""
    rng = random.Random(7)
    distribution = recorded([-0.0] * 5 + [rng.uniform(1, 2) for _ in range(1_000)])
    assert (distribution.values[0], distribution.counts[0]) == (0.0, 5)
    assert distribution.values[-1] < 2.05


def test_compacting_in_between_changes_nothing() -> None:
    """Neither while values are kept exactly, nor in buckets."""
    rng = random.Random(6)
    values = [rng.choice([0.0, 1.0, rng.lognormvariate(-2, 1)]) for _ in range(5_000)]
    recorder = Recorder()
    for number, value in enumerate(values):
        recorder.record(value)
        if number % 37 == 0:
            recorder.compact()
    compacted, at_once = recorder.freeze(), recorded(values)
    assert compacted.counts == at_once.counts
    assert compacted.values == pytest.approx(at_once.values, rel=1e-12)


def test_times_that_nobody_can_measure_take_no_memory() -> None:
    """A hostile worker may send all the powers of two there are."""
    recorder = Recorder()
    for exponent in range(-1_022, 34):
        for sub_bucket in range(16):
            recorder.record(2.0**exponent * (1 + sub_bucket / 16))
        recorder.compact()
    assert recorder.size < 1_200
    distribution = recorder.freeze()
    assert distribution.count == 16 * 1_056
    assert len(distribution.values) <= MAX_VALUES


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
