"""Stack: everything that is wanted, gathered once for every form it can be written in. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ..settings import Settings
from .alarms import alarm_notes, build_alarms, build_composite
from .event_queue import SqsQueue, event_queues
from .model import Alarm, CompositeAlarm, Dimensions, ScaledService, ScalingPolicy
from .options import ProvisionOptions
from .policy import monitor_policy, workers_policy
from .references import named_by_reference, referring, referring_alarm, with_thresholds
from .render.cloudwatch_dashboard import alarm_status_notes, cloudwatch_dashboard
from .render.grafana import grafana_dashboard
from .render.search import search_notes
from .scaling import build_scaling, scaling_notes
from .series import encoded_dimensions
from .task_definition import Container, Variables, container_definition, container_notes

__all__ = ["PIECES", "Piece", "Stack", "build_stack"]

Piece = Literal["alarms", "dashboard", "autoscaling", "iam", "sqs", "ecs", "grafana"]
PIECES: tuple[Piece, ...] = get_args(Piece)

_RIGHTS_ELSEWHERE = "What the monitor may do with these queues is in its policy: `provision iam`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What was asked for; a piece that was not is empty or None. ``notes`` are for a person.

    Dashboards are the documents themselves, since every form holds them as they are. ``template``
    is the same stack with references in place of prefix, namespace and static dimensions.
    """

    prefix: str
    namespace: str = ""
    dimensions: Dimensions = ()  # the static ones, as they are published
    topics: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    known_alarms: tuple[Alarm, ...] = ()  # also those of a dashboard without alarms
    alarms: tuple[Alarm, ...] = ()
    composite: CompositeAlarm | None = None
    dashboard_name: str = ""
    dashboard: dict[str, object] | None = None
    scaling: tuple[ScaledService, ...] = ()
    workers: tuple[int, int] = (0, 0)  # fewest, most
    policy: dict[str, object] | None = None
    queues: tuple[SqsQueue, ...] = ()
    workers_policy: dict[str, object] | None = None
    policy_names_queues: bool = False  # of this account, so that it has placeholders
    container: Container | None = None
    environment: Variables = ()  # of the app, for the container
    secrets: Variables = ()  # the same, with the ARN of each secret
    container_policy: dict[str, object] | None = None
    container_notes: tuple[str, ...] = ()  # those of the notes that are about it
    scaling_notes: tuple[str, ...] = ()  # those about scaling
    grafana: dict[str, object] | None = None
    template: Stack | None = None

    @property
    def is_grafana_only(self) -> bool:
        """Return whether there is nothing for AWS in it."""
        for_aws = (self.alarms, self.dashboard, self.scaling, self.policy, self.container)
        return self.grafana is not None and not any(for_aws) and not self.queues


def build_stack(pieces: tuple[Piece, ...], settings: Settings, options: ProvisionOptions) -> Stack:
    """Return the pieces; ``SettingsError`` if one cannot be had with these settings."""
    wanted = frozenset(pieces)
    alarms = build_alarms(settings, options)
    stack = _build(wanted, settings, options, alarms=alarms)
    template_settings = referring(settings)
    template = _build(
        wanted,
        template_settings,
        options,
        alarms=tuple(
            referring_alarm(alarm, options.prefix, number=number)
            for number, alarm in enumerate(build_alarms(template_settings, options))
        ),
        name=lambda name: named_by_reference(name, options.prefix),
    )
    return replace(
        stack,
        grafana=(
            grafana_dashboard(settings, options, alarms=alarms) if "grafana" in wanted else None
        ),
        template=template,
    )


def _build(
    wanted: frozenset[Piece],
    settings: Settings,
    options: ProvisionOptions,
    *,
    alarms: tuple[Alarm, ...],
    name: Callable[[str], str] = str,
) -> Stack:
    """Return the stack without Grafana's dashboard; ``name`` is what resources are called then."""
    composite = build_composite(alarms, options)
    if composite is not None:
        composite = replace(composite, name=name(composite.name))
    policy = monitor_policy(settings, options)
    dashboard = None
    if "dashboard" in wanted:
        dashboard = cloudwatch_dashboard(settings, options, alarms=alarms, composite=composite)
        dashboard = {key: with_thresholds(part, alarms) for key, part in dashboard.items()}
    container = None
    about_container = container_notes(settings) if "ecs" in wanted else ()
    about_scaling = (
        scaling_notes(settings, options, has_monitor="ecs" in wanted)
        if "autoscaling" in wanted
        else ()
    )
    if "ecs" in wanted:
        container = container_definition(settings, options)
        container["name"] = name(container["name"])
    return Stack(
        prefix=name(options.prefix),
        namespace=settings.namespace,
        dimensions=encoded_dimensions(settings.dimensions),
        topics=options.topics,
        pages=options.pages,
        notes=(
            *(alarm_notes(settings, options) if "alarms" in wanted else ()),
            *(alarm_status_notes(alarms, composite) if dashboard else ()),
            *(search_notes(settings) if wanted & {"dashboard", "grafana"} else ()),
            *about_scaling,
            *about_container,
            *((_RIGHTS_ELSEWHERE,) if "sqs" in wanted and not wanted & {"iam", "ecs"} else ()),
        ),
        known_alarms=alarms,
        alarms=alarms if "alarms" in wanted else (),
        composite=composite if "alarms" in wanted else None,
        dashboard_name=name(options.prefix),
        dashboard=dashboard,
        scaling=_scaling(settings, options, name) if "autoscaling" in wanted else (),
        workers=(options.workers_from, options.workers_to),
        policy=policy if "iam" in wanted else None,
        queues=event_queues(options) if "sqs" in wanted else (),
        workers_policy=workers_policy(options) if "sqs" in wanted else None,
        policy_names_queues=bool(options.event_queue),
        container=container,
        environment=options.environment,
        secrets=options.secrets,
        container_policy=policy if "ecs" in wanted else None,
        container_notes=about_container,
        scaling_notes=about_scaling,
    )


def _scaling(
    settings: Settings, options: ProvisionOptions, name: Callable[[str], str]
) -> tuple[ScaledService, ...]:
    return tuple(
        replace(service, policies=tuple(_named(policy, name) for policy in service.policies))
        for service in build_scaling(settings, options)
    )


def _named(policy: ScalingPolicy, name: Callable[[str], str]) -> ScalingPolicy:
    alarm = policy.alarm and replace(policy.alarm, name=name(policy.alarm.name))
    return replace(policy, name=name(policy.name), alarm=alarm)
