"""Alarm definitions: one row per alarm, before names, periods and dimensions. Pure.

Those that say that work stops page; what lasts long once it is on, or says nothing of the work
itself, only informs: a page for it would be the one that nobody reads.
"""

from __future__ import annotations

from ..definition import AlarmDefinition
from ..options import ProvisionOptions
from .backlog import BACKLOG_ALARMS
from .monitor import MONITOR_ALARMS
from .objectives import OBJECTIVE_ALARMS
from .outcomes import OUTCOME_ALARMS
from .queues import QUEUE_ALARMS
from .tasks import TASK_ALARMS

__all__ = ["CLUSTER_ALARMS", "OBJECTIVE_ALARMS", "QUEUE_ALARMS", "TASK_ALARMS"]

#: The alarms of the whole cluster, the most urgent first. A limit of 0 leaves its alarm out.
CLUSTER_ALARMS: tuple[AlarmDefinition[ProvisionOptions], ...] = (
    *OUTCOME_ALARMS,
    *BACKLOG_ALARMS,
    *MONITOR_ALARMS,
)
