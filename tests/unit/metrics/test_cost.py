"""Cost: what is counted, what it costs, and what would cost less."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.catalog import CATALOG
from event_monitor.errors import SettingsError
from event_monitor.metrics import is_split, metrics_from
from event_monitor.metrics.bill import bill
from event_monitor.metrics.cost import Cluster, Estimate, Saving, estimate, savings
from event_monitor.metrics.prices import Provisioned
from event_monitor.settings import Settings
from event_monitor.snapshot import MissingTasks, PublisherReport, Snapshot, Window
from event_monitor.survey import Survey


def test_an_empty_cluster_still_costs_its_totals() -> None:
    """Every metric that has a value without tasks and workers, once a minute."""
    # Given
    settings = Settings()
    idle = Snapshot(
        window=Window(opened_at=0.0, closed_at=60.0, events_dropped=0),
        survey=Survey(queues=(), workers=(), stalled=(), event_queue_length=0),
        missing=MissingTasks(),
        publisher=PublisherReport(flush_seconds=0.1),
    )
    totals = metrics_from(idle, settings)

    # When
    found = estimate(settings, Cluster(tasks=0, workers=0, queues=0, periodic_tasks=0))

    # Then: the event delay is sampled from the first event on
    assert found.series == (("total", len(totals) + 1),)
    assert found.requests == 43_200


def test_every_metric_and_every_split_of_it_is_counted() -> None:
    """What the made-up cluster had no value for would be missing from the bill."""
    everything = Settings(
        by_task=tuple(spec.name for spec in CATALOG if "TaskName" in spec.splits),
        by_queue=tuple(spec.name for spec in CATALOG if "QueueName" in spec.splits),
        by_worker=tuple(spec.name for spec in CATALOG if "WorkerName" in spec.splits),
        by_exception=True,
        time_total=True,
        standby=True,
        slo=("a: 99 % succeed", "b: 99 % start in 5 s"),
        queue_length_limits=(("*", (10.0, 100.0)),),
        series_budget=100_000,
    )
    cluster = Cluster(tasks=4, workers=5, queues=6, exceptions=7, custom_events=8)
    sizes = {
        "TaskName": 4,
        "WorkerName": 5,
        "QueueName": 6,
        "ExceptionType": 7,
        "EventType": 8,
        "SloName": 2,
    }

    assert dict(estimate(everything, cluster).series) == {
        "total": len(CATALOG),
        **{
            dimension: size * sum(is_split(spec, dimension, everything) for spec in CATALOG)
            for dimension, size in sizes.items()
        },
    }


def test_each_task_name_costs_its_default_metrics() -> None:
    """Five metrics for each of 40 names, 30 cents each."""
    without = estimate(Settings(), Cluster(tasks=0))
    found = estimate(Settings(), Cluster(tasks=40))

    assert dict(found.series)["TaskName"] == 40 * 5
    assert found.dollars - without.dollars == pytest.approx(60.0, abs=1.9)  # and the task times


def test_what_the_settings_do_not_ask_for_costs_nothing() -> None:
    """No total times, and no gauges of a broker that is not asked."""

    def total(settings: Settings) -> int:
        return dict(estimate(settings, Cluster()).series)["total"]

    asked = {metric.name for metric in CATALOG if "probe_queues" in metric.needs}
    limited = Settings(queue_length_limits=(("*", (10.0, 100.0)),))
    assert total(replace(limited, time_total=True)) == total(limited) + 1
    assert total(replace(limited, probe_queues=False)) == total(limited) - len(asked)


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


def test_workers_exceptions_and_schedules_cost_only_when_asked_for() -> None:
    """Series per worker, exception and schedule are off unless the settings say otherwise."""
    cluster = Cluster(tasks=0, workers=7, queues=0, exceptions=3, custom_events=2, periodic_tasks=4)
    asked = Settings(
        by_worker=("WorkersOnline", "TasksActive"), by_exception=True, by_schedule=True
    )

    assert "WorkerName" not in dict(estimate(Settings(), cluster).series)
    assert dict(estimate(asked, cluster).series) | {"total": 0} == {
        "total": 0,
        "WorkerName": 14,
        "ExceptionType": 6,
        "EventType": 2,
        "ScheduleName": 4,
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


def test_alarms_and_dashboards_have_their_own_prices() -> None:
    """10 cents for a metric of an alarm, 30 for one under a minute, 50 for a composite."""
    found = Provisioned(alarm_metrics=18, fast_alarm_metrics=2, composites=1, dashboards=(190,))

    assert [(name, number, round(dollars, 9)) for name, number, dollars in found.rows] == [
        ("alarms, by metric", 18, 1.8),
        ("alarms under 60 s", 2, 0.6),
        ("composite alarms", 1, 0.5),
        ("dashboards", 1, 3.0),
    ]


def test_an_open_grafana_dashboard_is_billed_by_the_series_at_each_refresh() -> None:
    """188 series every minute would be 81 dollars a month; every five minutes is a fifth."""
    assert Provisioned(dashboards=(188,)).open_grafana_dollars == pytest.approx(81.2 / 5, abs=0.01)


def test_emf_makes_no_requests_but_log_lines() -> None:
    """Which are billed by their size."""
    assert estimate(Settings(sink="emf"), Cluster()).requests == 0
    assert "Not included: the log lines" in bill(Settings(sink="emf"), Cluster())
    assert "Not included: the log lines" not in bill(Settings(), Cluster())


@pytest.mark.parametrize(
    ("metrics", "others", "billed"),
    [(50, 0, 0), (50, 2, 0), (50, 3, 1), (50, 9, 1), (51, 0, 1)],
)
def test_the_first_three_small_dashboards_are_free(metrics: int, others: int, billed: int) -> None:
    """One of more than 50 metrics never is."""
    found = Provisioned(dashboards=(metrics,), other_dashboards=others)

    assert found.dashboards_billed == billed


def test_savings_count_what_happens_to_the_alarms() -> None:
    """A change that an alarm does not allow is not offered."""

    def provisioned_by(settings: Settings) -> Provisioned:
        if not settings.by_task:
            raise SettingsError("--task a: TaskRuntime is not published.")
        fast = settings.high_resolution
        return Provisioned(alarm_metrics=10 * (not fast), fast_alarm_metrics=10 * fast)

    found = savings(
        Settings(high_resolution=True, by_task=("TaskRuntime",), by_queue=()),
        Cluster(),
        provisioned_by=provisioned_by,
    )

    assert [Saving(saving.flag, round(saving.dollars, 9)) for saving in found] == [
        Saving("--no-high-resolution", 2.0)
    ]


def test_the_bill_ends_with_one_sum_and_says_what_is_not_in_it() -> None:
    """Nobody should take it for the invoice."""
    cluster = Cluster()
    found = estimate(
        Settings(), cluster, provisioned_by=lambda _: Provisioned(composites=1, dashboards=(190,))
    )
    text = bill(Settings(), cluster, provisioned_by=lambda _: found.provisioned)
    words = " ".join(text.split())

    assert "series, by TaskName 200 60.00" in words
    assert "composite alarms 1 0.50 dashboards 1 3.00 a month" in words
    assert "--by-task none" in text
    assert "us-east-1 list prices as of" in text
    assert "at most 50 metrics each; this one shows 190." in text
    assert "Not included:" in text
    assert text.splitlines()[-1] == f"About ${found.dollars:.0f} a month."


def test_an_estimate_adds_up() -> None:
    """Series, requests, alarms and dashboards make the sum."""
    provisioned = Provisioned(alarm_metrics=5, composites=1, dashboards=(51,))
    found = Estimate((("total", 30), ("TaskName", 10)), 43_200, 12.0, 0.43, provisioned)

    assert found.series_count == 40
    assert found.dollars == pytest.approx(12.43 + 0.5 + 0.5 + 3.0)
    assert found.about == "about $16 a month"
