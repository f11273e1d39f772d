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


@pytest.mark.parametrize(
    ("decades", "error"), [(2.75, 0.032), (5.5, 0.063)], ids=["usual spread", "wide spread"]
)
def test_percentiles_are_off_by_half_a_bucket(decades: float, error: float) -> None:
    """Sixteenths of a doubling while they are enough; then the small ones share eighths."""
    rng = random.Random(2)
    values = sorted(10 ** rng.uniform(-2, decades - 2) for _ in range(100_000))
    distribution = recorded(values)
    for q in (0.05, 0.25, 0.5, 0.95, 0.99, 0.999, 1.0):
        exact = values[math.ceil(q * len(values)) - 1]
        assert abs(percentile(distribution, q) / exact - 1) < error


def test_percentiles_of_a_usual_spread_are_within_five_percent() -> None:
    """Run times over three decades."""
    rng = random.Random(2)
    values = sorted(10 ** rng.uniform(-2, 1) for _ in range(20_000))
    distribution = recorded(values)
    for q in (0.5, 0.95, 0.99):
        exact = values[math.ceil(q * len(values)) - 1]
        assert abs(percentile(distribution, q) / exact - 1) < 0.05


def test_only_the_smallest_times_get_wider_buckets() -> None:
    """As many as must, so that all places are used and high percentiles stay sharp."""
    rng = random.Random(8)
    values = sorted(10 ** rng.uniform(-2, 2) for _ in range(100_000))
    distribution = recorded(values)
    assert len(distribution.values) == MAX_VALUES
    for q in (0.5, 0.75, 0.95, 0.99, 0.999, 1.0):
        exact = values[math.ceil(q * len(values)) - 1]
        assert abs(percentile(distribution, q) / exact - 1) < 0.032


def test_times_below_a_tenth_of_a_millisecond_share_a_bucket() -> None:
    """Nobody tunes those, and thousands of doublings would hide the rest."""
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
    """Neither while few values are kept as they are, nor in buckets."""
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
    """A hostile worker may send all the doublings there are."""
    recorder = Recorder()
    for exponent in range(-1_022, 34):
        for sixteenth in range(16):
            recorder.record(2.0**exponent * (1 + sixteenth / 16))
        recorder.compact()
    assert recorder._sixteenths is not None
    assert len(recorder._sixteenths) < 1_200
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


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1.0), (50, 2.0), (95, 10.0), (75, 2.0), (76, 10.0), (100, 10.0)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    """A percentile is a value that occurred."""
    assert Distribution((1.0, 2.0, 10.0), (1, 2, 1)).percentile(percent) == expected


def test_an_empty_distribution_has_no_percentile() -> None:
    """Rather than a zero that nobody measured."""
    with pytest.raises(ValueError, match="empty"):
        Distribution().percentile(50)
