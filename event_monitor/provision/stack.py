"""Stack: everything that is wanted, gathered once for every form it can be written in. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ..settings import Settings
from .alarms import alarm_notes, build_alarms, build_composite
from .model import Alarm, CompositeAlarm, ScalingPolicy
from .options import ProvisionOptions
from .policy import monitor_policy
from .render.cloudwatch_dashboard import alarm_status_notes, cloudwatch_dashboard
from .render.grafana import grafana_dashboard
from .render.search import search_notes
from .scaling import build_scaling_policies
from .task_definition import Container, container_definition, container_notes

__all__ = ["PIECES", "Piece", "Stack", "build_stack"]

Piece = Literal["alarms", "dashboard", "autoscaling", "iam", "ecs", "grafana"]
PIECES: tuple[Piece, ...] = get_args(Piece)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What was asked for; a piece that was not is empty or None. ``notes`` are for a person.

    Dashboards are the documents themselves, since every form holds them as they are.
    """

    prefix: str
    notes: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    composite: CompositeAlarm | None = None
    dashboard_name: str = ""
    dashboard: dict[str, object] | None = None
    scaling: tuple[ScalingPolicy, ...] = ()
    workers: tuple[int, int] = (0, 0)  # fewest, most
    policy: dict[str, object] | None = None
    container: Container | None = None
    container_policy: dict[str, object] | None = None
    grafana: dict[str, object] | None = None

    @property
    def is_grafana_only(self) -> bool:
        """Return whether there is nothing for AWS in it."""
        for_aws = (self.alarms, self.dashboard, self.scaling, self.policy, self.container)
        return self.grafana is not None and not any(for_aws)


def build_stack(pieces: tuple[Piece, ...], settings: Settings, options: ProvisionOptions) -> Stack:
    """Return the pieces; ``SettingsError`` if one cannot be had with these settings."""
    alarms = build_alarms(settings, options)
    composite = build_composite(alarms, options)
    wanted = frozenset(pieces)
    policy = monitor_policy(settings, options)
    dashboard = None
    if "dashboard" in wanted:
        dashboard = cloudwatch_dashboard(settings, options, alarms=alarms, composite=composite)
    return Stack(
        prefix=options.prefix,
        notes=(
            *(alarm_notes(settings, options) if "alarms" in wanted else ()),
            *(alarm_status_notes(alarms, composite) if dashboard else ()),
            *(search_notes(settings) if wanted & {"dashboard", "grafana"} else ()),
            *(container_notes(settings) if "ecs" in wanted else ()),
        ),
        alarms=alarms if "alarms" in wanted else (),
        composite=composite if "alarms" in wanted else None,
        dashboard_name=options.prefix,
        dashboard=dashboard,
        scaling=build_scaling_policies(settings, options) if "autoscaling" in wanted else (),
        workers=(options.workers_from, options.workers_to),
        policy=policy if "iam" in wanted else None,
        container=container_definition(settings, options) if "ecs" in wanted else None,
        container_policy=policy if "ecs" in wanted else None,
        grafana=(
            grafana_dashboard(settings, options, alarms=alarms) if "grafana" in wanted else None
        ),
    )
