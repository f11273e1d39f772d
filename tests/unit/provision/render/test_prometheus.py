"""Prometheus: its rules ask for what the monitor exports, with the thresholds that were chosen."""

from __future__ import annotations

import re

from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.quantities import TooMany
from event_monitor.provision.render.prometheus import prometheus_files, rules_of
from event_monitor.settings import Settings
from event_monitor.web.cells import COUNTERS
from event_monitor.web.own_metrics import OWN_METRICS, name_of


def test_each_rule_asks_for_what_is_exported() -> None:
    """A name that nobody exports would never alert."""
    exported = {name_of(spec) + ("_total" if spec.kind == "count" else "") for spec in OWN_METRICS}
    exported |= {f"celery_task_{name}_total" for name in (*COUNTERS, "failed")}
    exported |= {"celery_queue_length"}
    for rule in rules_of(ProvisionOptions()):
        assert set(re.findall(r"celery_\w+", rule.expr)) <= exported


def test_a_threshold_of_0_leaves_its_rule_out() -> None:
    """As with alarms."""
    none = ProvisionOptions(
        workers_at_least=0,
        max_failures=TooMany(0.0),
        max_retries=TooMany(0.0),
        max_age=0,
        max_length=0,
        max_running=0,
        max_spool_age=0,
    )
    left_out = {rule.alert for rule in rules_of(ProvisionOptions())} - {
        rule.alert for rule in rules_of(none)
    }
    assert left_out == {
        "CeleryTooFewWorkers",
        "CeleryTasksFail",
        "CeleryTasksRetried",
        "CeleryOldestMessage",
        "CeleryQueueLength",
        "CeleryTaskRunsLong",
        "CeleryMetricsUnsent",
    }


def test_too_many_may_be_a_count() -> None:
    """In a time of its own."""
    options = ProvisionOptions(max_failures=TooMany(5, 600))
    (rule,) = (rule for rule in rules_of(options) if rule.alert == "CeleryTasksFail")
    assert rule.expr.endswith('_total{job="celery"}[10m]))) >= 5')


def test_the_alert_on_retries_leaves_out_the_task_that_waits_by_retrying() -> None:
    """As the total that CloudWatch's alarm watches; failures of that task alert like any other."""
    selected = {
        rule.alert: "celery.chord_unlock" in rule.expr
        for rule in rules_of(ProvisionOptions())
        if rule.alert in ("CeleryTasksFail", "CeleryTasksRetried")
    }
    assert selected == {"CeleryTasksFail": False, "CeleryTasksRetried": True}


def test_the_job_scrapes_what_the_settings_serve() -> None:
    """Where, under which prefix, and with the secret that is asked for."""
    settings = Settings(http="[::1]:99", http_prefix="/celery", http_auth="bearer:/run/token")
    assert prometheus_files(settings, ProvisionOptions())["prometheus-scrape.yml"] == (
        "scrape_configs:\n"
        "- job_name: celery\n"
        "  metrics_path: /celery/metrics\n"
        "  scrape_interval: 15s\n"
        "  authorization: {credentials_file: event-monitor.token}\n"
        "  static_configs:\n"
        '  - targets: ["[::1]:99"]\n'
    )
