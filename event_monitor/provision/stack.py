"""Stack: everything that is wanted, gathered once for every form it can be written in. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from ..settings import Settings
from .alarms import alarms_of, composite_of, left_out
from .model import Alarm, CompositeAlarm, Scaling
from .options import Choices
from .policy import monitor_policy
from .render.cloudwatch_dashboard import dashboard_name, dashboard_of
from .render.grafana import grafana_of
from .scaling import scaling_of
from .task_definition import container, decisions

__all__ = ["PIECES", "Piece", "Stack", "stack_of"]

Piece = Literal["alarms", "dashboard", "autoscaling", "iam", "ecs", "grafana"]
PIECES: tuple[Piece, ...] = get_args(Piece)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What was asked for; a piece that was not is empty or None. ``notes`` are for a person."""

    prefix: str
    notes: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    composite: CompositeAlarm | None = None
    dashboard_name: str = ""
    dashboard: dict[str, Any] | None = None
    scaling: tuple[Scaling, ...] = ()
    workers: tuple[int, int] = (0, 0)  # fewest, most
    policy: dict[str, Any] | None = None
    container: dict[str, Any] | None = None
    container_policy: dict[str, Any] | None = None
    grafana: dict[str, Any] | None = None


def stack_of(pieces: tuple[Piece, ...], settings: Settings, choices: Choices) -> Stack:
    """The pieces; ``SettingsError`` if one cannot be had with these settings."""
    alarms = alarms_of(settings, choices)
    composite = composite_of(alarms, choices)
    wanted = dict.fromkeys(pieces)
    grant = monitor_policy(settings, choices)
    return Stack(
        prefix=choices.prefix,
        notes=(
            *(left_out(settings, choices) if "alarms" in wanted else ()),
            *(decisions(settings) if "ecs" in wanted else ()),
        ),
        alarms=alarms if "alarms" in wanted else (),
        composite=composite if "alarms" in wanted else None,
        dashboard_name=dashboard_name(choices),
        dashboard=(
            dashboard_of(settings, choices, alarms, composite) if "dashboard" in wanted else None
        ),
        scaling=scaling_of(settings, choices) if "autoscaling" in wanted else (),
        workers=(choices.workers_from, choices.workers_to),
        policy=grant if "iam" in wanted else None,
        container=container(settings, choices) if "ecs" in wanted else None,
        container_policy=grant if "ecs" in wanted else None,
        grafana=grafana_of(settings, choices) if "grafana" in wanted else None,
    )
