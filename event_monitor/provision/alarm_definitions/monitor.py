"""Monitor: what the monitor says of itself."""

from __future__ import annotations

from ...settings import Settings
from ..definition import AlarmDefinition
from ..options import ProvisionOptions
from .rates import AT_ONCE

__all__ = ["MONITOR_ALARMS"]


def _expects_standby(settings: Settings, _options: ProvisionOptions) -> bool:
    """Return whether one is missed if there is none."""
    return settings.standby


def _has_no_durable_queue(settings: Settings, _options: ProvisionOptions) -> bool:
    """Return whether shots come at their interval only."""
    return not settings.durable_queue


MONITOR_ALARMS: tuple[AlarmDefinition[ProvisionOptions], ...] = (
    AlarmDefinition(
        key="second-monitor",
        description=(
            "More than one monitor publishes these metrics: everything is counted twice. Stop one, "
            "or give it a namespace or dimensions of its own."
        ),
        metrics=("MonitorHeartbeat",),
        comparison=">",
        threshold=1,
        is_per_shot=True,
        next_step="healthcheck",
        applies=_has_no_durable_queue,  # one that lags behind takes shots in between
    ),
    AlarmDefinition(
        key="no-standby",
        description="No other monitor stands by: if this one dies, nobody counts until it is back.",
        metrics=("MonitorStandby",),
        comparison="<",
        threshold=1,
        lasting=900,
        within=900,
        next_step="healthcheck",
        applies=_expects_standby,
    ),
    AlarmDefinition(
        key="events-lost",
        description="Task events of the workers did not arrive: counts are too low.",
        metrics=("EventsLost",),
        comparison=">",
        threshold=0,
        next_step="check",
    ),
    AlarmDefinition(
        key="probe-failures",
        description=(
            "The broker or the workers cannot be asked: what only they know, such as the length "
            "and the age of queues, is unknown, and its alarms are silent."
        ),
        metrics=("ProbeFailures",),
        comparison=">",
        threshold=0,
        next_step="check",
    ),
    AlarmDefinition(
        key="publish-failures",
        description=(
            "The monitor fails to send to CloudWatch; unsent data is kept and sent again."
        ),
        metrics=("PublishFailures",),
        comparison=">",
        threshold=0,
        pages=True,
        next_step="healthcheck",
    ),
    AlarmDefinition(
        key="spool-age",
        description=(
            "What the monitor sends is more than {limits.max_spool_age:.10g} seconds old: for that "
            "long it could not be sent, and it comes in order."
        ),
        metrics=("SpoolAge",),
        comparison=">",
        threshold=lambda limits: limits.max_spool_age or None,
        next_step="healthcheck",
    ),
    AlarmDefinition(
        key="data-dropped",
        description=(
            "Some data of the monitor will never arrive: it was refused, or the spool was full."
        ),
        metrics=("DatumsDropped",),
        comparison=">",
        threshold=0,
        lasting=AT_ONCE,
        next_step="healthcheck",
    ),
)
