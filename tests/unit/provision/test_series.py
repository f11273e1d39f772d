"""Series: which are published, and in which period each has a datum."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.catalog import CATALOG
from event_monitor.provision.alarms import build_alarms
from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.series import period_seconds_of
from event_monitor.settings import Settings
from event_monitor.snapshot import MissingTasks
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

from .cluster import PLAIN, period


def test_what_needs_a_probe_is_known() -> None:
    """The catalog agrees with what ``metrics_from`` leaves out when nobody was asked."""
    limits = (("*", (1.0, 2.0)),)
    settings = replace(PLAIN, queue_length_limits=limits)
    queue = QueueDepth("celery", 1, 1, 1, 1.0, 1.0, 2.0)
    worker = WorkerAnswer("celery@0", 1, 1, 1, 1, 4, 1, queues=("celery",))
    full = Survey(queues=(queue,), workers=(worker,), stalled=())

    def names(survey: Survey) -> set[str]:
        is_known = survey.queues is not None and survey.workers is not None
        missing = MissingTasks() if is_known else None  # as the books have it
        metrics = period(settings=settings, survey=survey, missing=missing)
        return {metric.name for metric in metrics}

    everything = names(full)
    assert everything - names(replace(full, queues=None, stalled=None)) == {
        metric.name for metric in CATALOG if "probe_queues" in metric.needs
    }
    assert everything - names(replace(full, workers=None, stalled=None)) == {
        metric.name for metric in CATALOG if "probe_workers" in metric.needs
    }
    assert {need for metric in CATALOG for need in metric.needs} == {
        "probe_queues",
        "probe_workers",
        "slo",
        "standby",
        "time_total",
    }


@pytest.mark.parametrize(
    ("interval", "high_resolution", "seconds"),
    [(60.0, False, 60), (10.0, False, 60), (90.0, False, 120), (10.0, True, 60), (1.0, True, 60)],
)
def test_a_period_holds_at_least_one_shot(
    interval: float, high_resolution: bool, seconds: int
) -> None:
    """And makes no alarm dearer than it has to be."""
    settings = Settings(interval=interval, high_resolution=high_resolution)

    assert period_seconds_of(settings) == seconds
    periods = {alarm.period_seconds for alarm in build_alarms(settings, ProvisionOptions())}
    assert {period % seconds for period in periods} == {0}
