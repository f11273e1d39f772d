"""Queues: the alarms of one queue."""

from __future__ import annotations

from ..definition import AlarmDefinition
from ..options import QueueLimits

__all__ = ["QUEUE_ALARMS"]

#: The alarms of one queue.
QUEUE_ALARMS: tuple[AlarmDefinition[QueueLimits], ...] = (
    AlarmDefinition(
        key="oldest-message",
        description=(
            "A message has waited in this queue for more than {limits.max_age:.10g} seconds."
        ),
        metrics=("OldestMessageAge",),
        comparison=">",
        threshold=lambda limits: limits.max_age,
        pages=True,
    ),
    AlarmDefinition(
        key="queue-length",
        description="More than {limits.max_length:.10g} messages wait in this queue.",
        metrics=("QueueLength",),
        comparison=">",
        threshold=lambda limits: limits.max_length,
        lasting=300,  # a burst that drains is no trouble
        pages=True,
    ),
    AlarmDefinition(
        key="queue-workers",
        description="Fewer than {limits.workers:.10g} workers read this queue.",
        metrics=("QueueConsumers",),
        comparison="<",
        threshold=lambda limits: limits.workers,
        pages=True,
    ),
)
