"""Cost: what is counted, what it costs, and what would cost less."""

from __future__ import annotations

import pytest

from event_monitor.metrics import metrics_from
from event_monitor.metrics.cost import Cluster, Estimate, Saving, bill, estimate, savings
from event_monitor.settings import Settings
from event_monitor.snapshot import PublisherReport, Snapshot, Window
from event_monitor.survey import Survey


def test_an_empty_cluster_still_costs_its_totals() -> None:
    """Every metric that has a value without tasks and workers, once a minute."""
    # Given
    settings = Settings()
    idle = Snapshot(
        window=Window(opened_at=0.0, closed_at=60.0),
        survey=Survey(queues=(), workers=(), stalled=()),
        publisher=PublisherReport(flush_seconds=0.1),
    )
    totals = metrics_from(idle, settings)

    # When
    found = estimate(settings, Cluster(tasks=0, workers=0, queues=0))

    # Then: the event delay is sampled from the first event on
    assert found.series == (("total", len(totals) + 1),)
    assert found.requests == 43_200


def test_each_task_name_costs_its_default_metrics() -> None:
    """Five metrics for each of 40 names, 30 cents each."""
    without = estimate(Settings(), Cluster(tasks=0))
    found = estimate(Settings(), Cluster(tasks=40))

    assert dict(found.series)["TaskName"] == 40 * 5
    assert found.dollars - without.dollars == pytest.approx(60.0, abs=1.9)  # and the task times


def test_static_dimensions_are_not_mistaken_for_a_split() -> None:
    """They make no series more."""
    plain = estimate(Settings(), Cluster())

    assert estimate(Settings(dimensions=(("Environment", "prod"),)), Cluster()) == plain


def test_include_and_groups_are_not_applied_to_invented_names() -> None:
    """``tasks`` is the number of names that are left after them."""
    settings = Settings(include_tasks=("shop.*",), exclude_tasks=("*",), groups=(("a", ("b",)),))

    assert estimate(settings, Cluster()) == estimate(Settings(), Cluster())


def test_the_series_budget_is_the_ceiling() -> None:
    """However many task names there are."""
    assert estimate(Settings(series_budget=500), Cluster(tasks=10_000)).series_count <= 500


def test_workers_and_exceptions_cost_only_when_asked_for() -> None:
    """Per-worker and per-exception series are off unless the settings say otherwise."""
    cluster = Cluster(tasks=0, workers=7, queues=0, exceptions=3, custom_events=2)
    asked = Settings(by_worker=("WorkersOnline", "TasksActive"), by_exception=True)

    assert "WorkerName" not in dict(estimate(Settings(), cluster).series)
    assert dict(estimate(asked, cluster).series) | {"total": 0} == {
        "total": 0,
        "WorkerName": 14,
        "ExceptionType": 3,
        "EventType": 2,
    }


def test_prices_fall_with_the_number_of_series() -> None:
    """The first 10,000 metrics cost 30 cents, the next 240,000 ten."""
    settings = Settings(series_budget=100_000, without=("SeriesFolded",))
    found = estimate(settings, Cluster(tasks=12_000))

    assert found.series_count > 60_000
    assert found.series_dollars == pytest.approx(3_000 + (found.series_count - 10_000) * 0.10)
    assert found.requests == 43_200 * 61


def test_shots_in_quick_succession_cost_requests() -> None:
    """Six times as many at 10 seconds as at 60."""
    found = estimate(Settings(interval=10.0), Cluster())

    assert found.requests == 259_200
    assert found.request_dollars == pytest.approx(2.592)


def test_savings_come_the_largest_first() -> None:
    """By what they take off the bill; what saves nothing is left out."""
    # Given
    settings = Settings(
        by_task=("TasksFailed",), by_worker=("WorkersOnline",), by_queue=("QueueLength",)
    )

    # When
    found = savings(settings, Cluster(tasks=40, workers=10, queues=5))

    # Then
    assert [Saving(saving.flag, round(saving.dollars, 9)) for saving in found] == [
        Saving("--by-task none", 12.0),
        Saving("--by-worker none", 3.0),
        Saving("--by-queue none", 1.5),
    ]


def test_the_bill_says_what_is_not_in_it() -> None:
    """Nobody should take it for the invoice."""
    text = bill(Settings(), Cluster())

    assert "series, by TaskName 200 60.00" in " ".join(text.split())
    assert "--by-task none" in text
    assert "us-east-1 list price of 2025-01" in text
    assert "Not included: alarms" in text


def test_an_estimate_adds_up() -> None:
    """Series and requests make the sum."""
    found = Estimate((("total", 30), ("TaskName", 10)), 43_200, 12.0, 0.43)

    assert (found.series_count, found.dollars) == (40, 12.43)
