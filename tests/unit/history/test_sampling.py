"""Sampling: which of those that succeed are kept, and how many each stands for."""

from __future__ import annotations

import pytest

from event_monitor.history.sampling import Budget, SuccessSampler


def test_all_are_kept_while_there_are_few() -> None:
    """Five a second, and ninety at once after a while."""
    sampler = SuccessSampler()
    for second, tasks in enumerate((5, 5, 5, 90, 0, 5, 5, 5)):
        weights = [sampler.weigh(f"{second}-{number}", "shop.pay", None) for number in range(tasks)]
        assert weights == [1.0] * tasks
        sampler.adapt(1.0)


def test_of_many_about_five_a_second_are_kept_and_stand_for_all() -> None:
    """Also in the first second, when nobody knows yet how many there will be."""
    sampler = SuccessSampler()
    kept: list[float] = []
    for second in range(50):
        weights = [sampler.weigh(f"{second}-{n}", "shop.pay", None) for n in range(10_000)]
        chosen = [weight for weight in weights if weight]
        assert len(chosen) <= 200
        kept += chosen
        sampler.adapt(1.0)
    assert 100 <= len(kept) <= 600
    assert sum(kept) == pytest.approx(500_000, rel=0.5)


def test_the_share_comes_back_when_there_are_few_again() -> None:
    """Twofold each second."""
    sampler = SuccessSampler()
    for number in range(100_000):
        sampler.weigh(f"u{number}", "shop.pay", None)
    for _ in range(40):
        sampler.adapt(1.0)
    assert sampler.weigh("late", "shop.pay", None) == 1.0


def test_the_slowest_is_kept_whatever_its_id() -> None:
    """It stands for itself; those that are no slower do not."""
    sampler = SuccessSampler()
    for number in range(100_000):
        sampler.weigh(f"u{number}", "shop.pay", 0.1)
    assert sampler.weigh("slow", "shop.pay", 9.0) == 1.0
    assert [sampler.weigh(f"v{number}", "shop.pay", 8.0) for number in range(20)].count(1.0) == 0


def test_what_is_slow_is_judged_anew_each_minute() -> None:
    """A little less strictly."""
    sampler = SuccessSampler()
    for number in range(100_000):
        sampler.weigh(f"u{number}", "shop.pay", 10.0)
    assert sampler.weigh("before", "shop.pay", 9.8) != 1.0
    sampler.relax()
    assert sampler.weigh("after", "shop.pay", 9.8) == 1.0


def test_all_are_counted() -> None:
    """Chosen or not; each once."""
    sampler = SuccessSampler()
    for number in range(1_000):
        sampler.weigh(f"u{number}", "shop.pay", 0.1)
    assert (sampler.take_count(), sampler.take_count()) == (1_000, 0)


def test_names_without_end_are_bounded() -> None:
    """Those beyond the bound have no slowest one."""
    sampler = SuccessSampler()
    for number in range(30_000):
        sampler.weigh(f"u{number}", f"name-{number}", 1.0)
    weights = [sampler.weigh(f"v{n}", f"other-{n}", 9.0) for n in range(1_000)]
    assert weights.count(1.0) == 0


def test_a_budget_has_a_burst_and_a_rate() -> None:
    """Ten at once, then two a second."""
    budget = Budget(per_second=2, burst=10)
    assert [budget.allows(100.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [budget.allows(101.0) for _ in range(3)] == [True, True, False]
    assert [budget.allows(50.0) for _ in range(1)] == [False]
    assert [budget.allows(1_000.0) for _ in range(11)] == [True] * 10 + [False]
