"""Scaling: policies for an ECS service of workers, by BacklogPerWorker. Pure.

Tracking a target is the usual way; steps are the alternative for those who want to see what happens
when. Both scale in as well as out. No data never scales in. From zero workers a ratio says little,
so one more policy starts the first worker when a message waits and no worker is online.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..settings import Settings
from .model import Alarm, Comparison, ScalingPolicy, ScalingStep, resource_name
from .options import ProvisionOptions
from .series import period_seconds_of, published_series, queue_split

__all__ = [
    "ADJUSTMENT_TYPE",
    "AGGREGATION",
    "SCALABLE_DIMENSION",
    "SERVICE_NAMESPACE",
    "build_scaling_policies",
]

# What is scaled, and how a step changes it, as Application Auto Scaling names it.
SERVICE_NAMESPACE = "ecs"
SCALABLE_DIMENSION = "ecs:service:DesiredCount"
ADJUSTMENT_TYPE = "ChangeInCapacity"
AGGREGATION = "Maximum"

_IDLE_SHARE = 0.5  # of the wanted backlog; below it there is a worker too many
_IN_PERIODS = 15  # as many as target tracking waits; a lull is no reason to stop workers
_MANY = 4  # times the wanted backlog: add more workers at once

_NO_DATA = "No data changes nothing: scaling in blindly would stop workers that are needed."


def build_scaling_policies(
    settings: Settings, options: ProvisionOptions
) -> tuple[ScalingPolicy, ...]:
    """Return the policies; ``SettingsError`` if the settings do not publish what they need."""
    if options.scale_by == "target":
        return (*_from_zero(settings, options), _target_tracking(settings, options))
    return (*_from_zero(settings, options), *_steps(settings, options))


def _target_tracking(settings: Settings, options: ProvisionOptions) -> ScalingPolicy:
    return ScalingPolicy(
        key="target",
        name=resource_name(options.prefix, "backlog", options.scale_queue),
        comment=f"Keep about {options.backlog:.10g} messages per pool process.",
        cooldown_seconds=options.out_cooldown_seconds,
        in_cooldown_seconds=options.in_cooldown_seconds,
        series=published_series("BacklogPerWorker", settings, id="m0", split=_split(options)),
        target=options.backlog,
    )


def _steps(settings: Settings, options: ProvisionOptions) -> Iterator[ScalingPolicy]:
    wanted = options.backlog
    far_above = wanted * (_MANY - 1)  # bounds of steps are counted from the alarm's threshold
    yield ScalingPolicy(
        key="out",
        name=resource_name(options.prefix, "scale-out", options.scale_queue),
        comment="Add one worker; three if the backlog is several times the target.",
        cooldown_seconds=options.out_cooldown_seconds,
        alarm=_backlog_alarm(
            settings,
            options,
            key="scale-out",
            comparison=">",
            threshold=wanted,
            datapoints=2,
            periods=3,
        ),
        steps=(
            ScalingStep(low=0.0, high=far_above, change=1),
            ScalingStep(low=far_above, change=3),
        ),
    )
    yield ScalingPolicy(
        key="in",
        name=resource_name(options.prefix, "scale-in", options.scale_queue),
        comment="Remove one worker.",
        cooldown_seconds=options.in_cooldown_seconds,
        alarm=_backlog_alarm(
            settings,
            options,
            key="scale-in",
            comparison="<",
            threshold=wanted * _IDLE_SHARE,
            datapoints=_IN_PERIODS,
            periods=_IN_PERIODS,
        ),
        steps=(ScalingStep(high=0.0, change=-1),),
    )


def _from_zero(settings: Settings, options: ProvisionOptions) -> Iterator[ScalingPolicy]:
    if options.workers_from:
        return
    waiting = published_series("QueueLength", settings, id="m0", split=_split(options))
    # Workers of other services would hide that this queue has none; its consumers do not.
    present = published_series(
        "QueueConsumers" if options.scale_queue else "WorkersOnline",
        settings,
        id="m1",
        split=_split(options),
    )
    name = resource_name(options.prefix, "wake", options.scale_queue)
    yield ScalingPolicy(
        key="wake",
        name=name,
        comment="From zero to one: a backlog per worker means little while there is no worker.",
        # It adds a worker instead of setting their number: when a whole fleet dies it must not
        # shrink to one. The longer cooldown gives the worker it started time to come online.
        cooldown_seconds=options.in_cooldown_seconds,
        alarm=Alarm(
            name=name,
            description=f"Messages wait and no worker is there to take them. {_NO_DATA}",
            series=(waiting, present),
            expression="IF(m1<1, m0, 0)",
            comparison=">",
            threshold=0.0,
            datapoints=1,
            periods=2,
            period_seconds=period_seconds_of(settings),
            missing="notBreaching",
            cluster_wide=False,
        ),
        steps=(ScalingStep(low=0.0, change=1),),
    )


def _backlog_alarm(
    settings: Settings,
    options: ProvisionOptions,
    *,
    key: str,
    comparison: Comparison,
    threshold: float,
    datapoints: int,
    periods: int,
) -> Alarm:
    side = "above" if comparison == ">" else "below"
    series = published_series("BacklogPerWorker", settings, id="m0", split=_split(options))
    return Alarm(
        name=resource_name(options.prefix, key, options.scale_queue),
        description=f"The backlog per pool process is {side} {threshold:.10g}. {_NO_DATA}",
        series=(series,),
        comparison=comparison,
        threshold=threshold,
        datapoints=datapoints,
        periods=periods,
        period_seconds=period_seconds_of(settings),
        missing="notBreaching",
        cluster_wide=False,
    )


def _split(options: ProvisionOptions) -> tuple[str, str] | None:
    return queue_split(options.scale_queue) if options.scale_queue else None
