"""Tasks: the alarms of one task."""

from __future__ import annotations

from ..definition import AlarmDefinition
from ..options import TaskLimits
from .rates import FAILED, FAILURE_PERCENT, RETRIED, RETRY_PERCENT, TASK_RATE_PERIOD

__all__ = ["TASK_ALARMS"]

#: The alarms of one task.
TASK_ALARMS: tuple[AlarmDefinition[TaskLimits], ...] = (
    AlarmDefinition(
        key="runtime-p95",
        description=(
            "One in twenty runs of this task that succeed in {period}, or one of fewer, takes "
            "longer than {limits.p95:g} seconds."
        ),
        metrics=("TaskRuntime",),
        statistic="p95",
        comparison=">",
        threshold=lambda limits: limits.p95,
        period=lambda _: TASK_RATE_PERIOD,  # it may run seldom
    ),
    AlarmDefinition(
        key="failure-rate",
        description=(
            "More than {limits.failures.number:g} % of the runs of this task that end in {period} "
            "fail (checked only if at least {min_failures} do)."
        ),
        metrics=FAILED,
        expression=FAILURE_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.failures.percent if limits.failures else None,
        period=lambda _: TASK_RATE_PERIOD,
        pages=True,
    ),
    AlarmDefinition(
        key="failures",
        description=(
            "{limits.failures.number:.10g} runs of this task or more fail within {period}."
        ),
        metrics=("TasksFailed",),
        comparison=">=",
        threshold=lambda limits: limits.failures.count if limits.failures else None,
        period=lambda limits: limits.failures.seconds if limits.failures else 0,
        pages=True,
    ),
    AlarmDefinition(
        key="retry-rate",
        description=(
            "More than {limits.retries.number:g} % of the runs of this task that end in {period} "
            "end in a retry (checked only if at least {min_failures} do)."
        ),
        metrics=RETRIED,
        expression=RETRY_PERCENT,
        comparison=">",
        threshold=lambda limits: limits.retries.percent if limits.retries else None,
        period=lambda _: TASK_RATE_PERIOD,
    ),
    AlarmDefinition(
        key="retries",
        description=(
            "{limits.retries.number:.10g} runs of this task or more end in a retry within {period}."
        ),
        metrics=("TasksRetried",),
        comparison=">=",
        threshold=lambda limits: limits.retries.count if limits.retries else None,
        period=lambda limits: limits.retries.seconds if limits.retries else 0,
    ),
    AlarmDefinition(
        key="oldest-running",
        description="This task has been running for more than {limits.running:.10g} seconds.",
        metrics=("OldestRunningTaskAge",),
        comparison=">",
        threshold=lambda limits: limits.running,
    ),
)
