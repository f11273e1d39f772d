"""Render: rules that alert and a job that scrapes, for Prometheus, with the thresholds of alarms.

Written for the monitor's own metrics, which tell a lost worker from one that left, know how old a
queue is, and say what nobody else does. Those of celery-exporter go on working beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from ...metrics.totals import RETRIES_TO_WAIT
from ...settings import Settings, address_of
from ..options import ProvisionOptions
from ..quantities import TooMany

__all__ = ["JOB", "prometheus_files", "rules_of"]

JOB = "celery"  # dashboards and alerts of celery-exporter look for it
_DEFAULT_ADDRESS = "127.0.0.1:9808"
_WINDOW = "9m"  # of percentages: as long as their alarms on CloudWatch look back
_VALUE = "{{ $value | humanize }}"  # written by Prometheus
_OF_JOB = f'{{job="{JOB}"}}'


class Rule(NamedTuple):
    """One alert: when ``expr`` has given something for ``minutes``; ``limit`` is its option."""

    alert: str
    expr: str
    minutes: int
    severity: str
    summary: str
    limit: str = ""


#: Those on one metric. JOB selects the monitor's series.
_RULES = (
    Rule("MonitorDown", "absent(upJOB) or upJOB == 0", 3, "critical",
         "Nothing is counted: the monitor is not there, or cannot be reached."),
    Rule("BrokerLost", "celery_broker_connectedJOB == 0", 3, "critical",
         "The monitor is not connected to the broker."),
    Rule("TooFewWorkers", "celery_workers_onlineJOB < LIMIT", 3, "critical",
         "VALUE workers are online.", "workers_at_least"),
    Rule("WorkersLost", "increase(celery_workers_lost_totalJOB[10m]) > 0", 0, "warning",
         "VALUE workers went silent without a goodbye: see celery_worker_up."),
    Rule("TasksOrphaned", "increase(celery_tasks_orphaned_totalJOB[10m]) > 0", 0, "warning",
         "VALUE tasks were running on workers that are lost; the log names them."),
    Rule("WorkersStalled", "celery_workers_stalledJOB > 0", 3, "critical",
         "VALUE workers beat but do nothing while work waits; the log names them."),
    Rule("TaskNamesFailing", "celery_task_names_failingJOB > 0", 0, "critical",
         "Of VALUE task names nothing but failures comes; the log names them."),
    Rule("OldestMessage", "celery_oldest_message_age_secondsJOB > LIMIT", 3, "critical",
         "A message has waited for VALUE s in {{ $labels.queue_name }}.", "max_age"),
    Rule("QueueLength", "celery_queue_lengthJOB > LIMIT", 5, "critical",
         "VALUE messages wait in {{ $labels.queue_name }}.", "max_length"),
    Rule("QueuesUnread", "celery_queues_unreadJOB > 0", 5, "warning",
         "In VALUE queues messages wait that no worker reads."),
    Rule("TaskRunsLong", "celery_oldest_running_task_age_secondsJOB > LIMIT", 0, "warning",
         "A task has been running for VALUE s.", "max_running"),
    Rule("ScheduleOverdue", "celery_schedule_overdue_secondsJOB > 0", 0, "warning",
         "A periodic task has stayed away for VALUE s; the log names it."),
    Rule("EventsLost", "increase(celery_events_lost_totalJOB[10m]) > 0", 0, "warning",
         "VALUE events never came: counts are too small by as many."),
    Rule("MetricsUnsent", "celery_spool_age_secondsJOB > LIMIT", 0, "warning",
         "Metrics have been waiting for VALUE s to be accepted.", "max_spool_age"),
)  # fmt: skip


def prometheus_files(settings: Settings, options: ProvisionOptions) -> dict[str, str]:
    """Return the two files: rules, and a job for ``scrape_configs``."""
    rules = "\n".join(map(_rule_text, rules_of(options)))
    return {
        "prometheus-rules.yml": f"groups:\n- name: {options.prefix}\n  rules:\n{rules}",
        "prometheus-scrape.yml": _scrape_text(settings),
    }


def rules_of(options: ProvisionOptions) -> Iterator[Rule]:
    """Yield the alerts; those whose threshold is 0 are left out."""
    for rule in _RULES:
        limit = getattr(options, rule.limit) if rule.limit else 1
        if limit:
            yield rule._replace(
                alert=f"Celery{rule.alert}",
                expr=rule.expr.replace("JOB", _OF_JOB).replace("LIMIT", f"{limit:g}"),
                summary=rule.summary.replace("VALUE", _VALUE),
            )
    least = options.min_failures
    yield from _too_many("CeleryTasksFail", "failed", options.max_failures, least, "critical")
    yield from _too_many("CeleryTasksRetried", "retried", options.max_retries, least, "warning")


def _too_many(alert: str, what: str, limit: TooMany, least: int, severity: str) -> Iterator[Rule]:
    """Yield the alert on tasks of one name of which too many failed, or were retried."""
    by = "sum by (job, name)"
    waits_by_retrying = f'{{job="{JOB}", name!="{RETRIES_TO_WAIT}"}}'
    selected = waits_by_retrying if what == "retried" else _OF_JOB

    def increase(counter: str, window: str) -> str:
        # It is estimated between the scrapes, and so no whole number.
        return f"{by} (round(increase(celery_task_{counter}_total{selected}[{window}])))"

    task = f"{{{{ $labels.name }}}}: {_VALUE}"
    count, percent = limit.count, limit.percent
    if count is not None:
        window = f"{limit.seconds // 60}m"
        expr = f"{increase(what, window)} >= {count:g}"
        yield Rule(alert, expr, 0, severity, f"{task} {what} in {window}.")
    elif percent is not None:
        ended = f"({increase('succeeded', _WINDOW)} + {increase('failed', _WINDOW)})"
        expr = (
            f"100 * {increase(what, _WINDOW)} / {ended} > {percent:g}"
            f" and {increase(what, _WINDOW)} >= {least}"
        )
        yield Rule(alert, expr, 0, severity, f"{task} % {what}.")


def _rule_text(rule: Rule) -> str:
    waits = f"    for: {rule.minutes}m\n" if rule.minutes else ""
    return (
        f"  - alert: {rule.alert}\n"
        f"    expr: {json.dumps(rule.expr)}\n"
        f"{waits}"
        f"    labels: {{severity: {rule.severity}}}\n"
        f"    annotations: {{summary: {json.dumps(rule.summary)}}}\n"
    )


def _scrape_text(settings: Settings) -> str:
    address = address_of(settings.http or _DEFAULT_ADDRESS)
    host = address.host or "127.0.0.1"
    target = f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
    path = f"{settings.http_prefix}/metrics"
    return (
        "scrape_configs:\n"
        f"- job_name: {JOB}\n"
        f"  metrics_path: {path}\n"
        "  scrape_interval: 15s\n"
        f"{_AUTH.get(settings.http_auth.partition(':')[0], '')}"
        "  static_configs:\n"
        f"  - targets: [{json.dumps(target)}]\n"
    )


#: The secrets are files beside Prometheus's own.
_AUTH = {
    "basic": "  basic_auth: {username: prometheus, password_file: event-monitor.password}\n",
    "bearer": "  authorization: {credentials_file: event-monitor.token}\n",
}
