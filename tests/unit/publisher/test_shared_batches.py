"""Shared batches: what other monitors hold as well, until one of them sent it."""

from __future__ import annotations

import random

from event_monitor.metrics import Metric
from event_monitor.publisher.shared_batches import SharedBatches


def metrics(count: int, *, value: float = 1.0) -> tuple[Metric, ...]:
    return tuple(Metric(f"M{number}", "Count", 0.0, value, ()) for number in range(count))


def test_the_oldest_comes_first_and_stays_until_it_is_sent() -> None:
    """Or what is left of it."""
    batches = SharedBatches(megabytes=1)
    batches.append("a", metrics(3))
    batches.append("b", metrics(2))
    assert batches.oldest() == ("a", metrics(3))

    batches.replace("a", metrics(1))
    assert batches.oldest() == ("a", metrics(1))
    assert len(batches) == 3

    batches.replace("a", ())
    assert batches.oldest() == ("b", metrics(2))


def test_what_another_has_sent_is_forgotten_also_if_it_comes_later() -> None:
    """Who sends is quicker, sometimes, than who only counts."""
    batches = SharedBatches(megabytes=1)
    batches.append("b", metrics(2))
    batches.settle("b")
    batches.settle("a")
    batches.append("a", metrics(3))

    assert batches.oldest() is None
    assert batches.take_dropped() == 0


def test_the_oldest_is_dropped_where_there_are_too_many() -> None:
    """And counted; the newest is never dropped."""
    batches = SharedBatches(megabytes=0.001)
    for name in "abc":
        chance = random.Random(name)  # what does not compress
        batches.append(name, tuple(metrics(1, value=chance.random())[0] for _ in range(100)))

    assert len(batches) == 100
    assert batches.take_dropped() == 200
    assert batches.take_dropped() == 0


def test_all_can_be_taken_at_the_end() -> None:
    """For a spool that outlives the process."""
    batches = SharedBatches(megabytes=1)
    batches.append("a", metrics(1))
    batches.append("b", metrics(2))

    assert [batches.size(window) for window in batches.windows()] == [1, 2]
    assert [batches.take(window) for window in batches.windows()] == [metrics(1), metrics(2)]
    assert batches.oldest() is None
