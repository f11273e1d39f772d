"""Outcomes: that there is a monitor and workers, and what became of the tasks."""

from __future__ import annotations

from ..definition import AlarmDefinition, NoData
from ..options import ProvisionOptions
from .rates import (
    AT_ONCE,
    FAILED,
    FAILURE_PERCENT,
    RATE_LASTING,
    RATE_PERIOD,
    RETRIED,
    RETRY_PERCENT,
)

__all__ = ["OUTCOME_ALARMS"]

_NO_DATA_FROM_MONITOR = NoData(
    treated_as="breaching",
    reason="No data is exactly what it is for.",
)

OUTCOME_ALARMS: tuple[AlarmDefinition[ProvisionOptions], ...] = (
    AlarmDefinition(
        key="monitor-dead",
        description=(
            "The monitor publishes nothing: it is dead, cut off from CloudWatch, "
            "or not permitted to."
        ),
        metrics=("MonitorHeartbeat",),
        comparison="<",
        threshold=1,
        within=180,
        fewest_periods=2,  # a send may be late
        no_data=_NO_DATA_FROM_MONITOR,
        pages=True,
        next_step="healthcheck",
    ),
    AlarmDefinition(
        key="broker-lost",
        description=(
            "The monitor is not connected to the broker; "
            "what happens meanwhile may never be counted."
        ),
        metrics=("BrokerConnected",),
        comparison="<",
        threshold=1,
        pages=True,
        next_step="check",
    ),
    AlarmDefinition(
        key="too-few-workers",
        description="Fewer than {limits.workers_at_least} workers are online.",
        metrics=("WorkersOnline",),
        comparison="<",
        threshold=lambda limits: limits.workers_at_least or None,
        pages=True,
    ),
    AlarmDefinition(
        key="failure-rate",
        description=(
            "More than {limits.max_failures.number:g} % of the tasks that end in {period} fail "
            "(checked only if at least {min_failures} do)."
        ),
        metrics=FAILED,
        expression=FAILURE_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.max_failures.percent,
        lasting=RATE_LASTING,
        within=RATE_LASTING,
        period=RATE_PERIOD,
        pages=True,
    ),
    AlarmDefinition(
        key="failures",
        description="{limits.max_failures.number:.10g} tasks or more fail within {period}.",
        metrics=("TasksFailed",),
        comparison=">=",
        threshold=lambda limits: limits.max_failures.count,
        period=lambda limits: limits.max_failures.seconds,
        pages=True,
    ),
    AlarmDefinition(
        key="tasks-failing",
        description=(
            "Of some task every run fails, at least two by now: the monitor's log names it. "
            "It is over when the task succeeds, or has not run for an hour."
        ),
        metrics=("TaskNamesFailing",),
        comparison=">",
        threshold=0,
        pages=True,
    ),
    AlarmDefinition(
        key="retry-rate",
        description=(
            "More than {limits.max_retries.number:g} % of the runs that end in {period} end in a "
            "retry (checked only if at least {min_failures} do)."
        ),
        metrics=RETRIED,
        expression=RETRY_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.max_retries.percent,
        lasting=RATE_LASTING,
        within=RATE_LASTING,
        period=RATE_PERIOD,
    ),
    AlarmDefinition(
        key="retries",
        description="{limits.max_retries.number:.10g} runs or more end in a retry within {period}.",
        metrics=("TasksRetried",),
        comparison=">=",
        threshold=lambda limits: limits.max_retries.count,
        period=lambda limits: limits.max_retries.seconds,
    ),
    AlarmDefinition(
        key="exhausted-rate",
        description=(
            "More than {limits.max_exhausted.number:g} % of the tasks that end in {period} fail "
            "though they were retried (checked only if at least {min_failures} do)."
        ),
        metrics=("TasksExhausted", "TasksFailed", "TasksSucceeded"),
        expression="IF(m0>={min_failures}, 100*m0/(m1+m2), 0)",
        comparison=">",
        threshold=lambda limits: limits.max_exhausted.percent,
        lasting=RATE_LASTING,
        within=RATE_LASTING,
        period=RATE_PERIOD,
    ),
    AlarmDefinition(
        key="exhausted",
        description=(
            "{limits.max_exhausted.number:.10g} tasks or more fail within {period} though they "
            "were retried."
        ),
        metrics=("TasksExhausted",),
        comparison=">=",
        threshold=lambda limits: limits.max_exhausted.count,
        period=lambda limits: limits.max_exhausted.seconds,
    ),
    AlarmDefinition(
        key="tasks-redelivered",
        description=(
            "A task began once more without a retry: its worker was lost, or it ran or waited for "
            "its eta longer than the broker's visibility timeout."
        ),
        metrics=("TasksRedelivered",),
        comparison=">",
        threshold=0,
        lasting=AT_ONCE,
        next_step="check",
    ),
    AlarmDefinition(
        key="tasks-duplicated",
        description="A task was redelivered while it ran, and has ended twice.",
        metrics=("TasksDuplicated",),
        comparison=">",
        threshold=0,
        lasting=AT_ONCE,
        next_step="check",
    ),
    AlarmDefinition(
        key="workers-lost",
        description="A worker died without a goodbye.",
        metrics=("WorkersLost",),
        comparison=">",
        threshold=0,
        lasting=AT_ONCE,
    ),
    AlarmDefinition(
        key="tasks-orphaned",
        description=(
            "Tasks were running on a worker when it died; unless acks_late is set they are gone."
        ),
        metrics=("TasksOrphaned",),
        comparison=">",
        threshold=0,
        lasting=AT_ONCE,
    ),
    AlarmDefinition(
        key="tasks-missing",
        description=(
            "Tasks were sent, and are neither in their queue nor with a worker: purged, evicted, "
            "expired in RabbitMQ, or acknowledged and lost. The monitor's log names them."
        ),
        metrics=("TasksMissing",),
        comparison=">",
        threshold=0,
        lasting=AT_ONCE,
    ),
)
