"""Terraform, scaling: targets and policies of the workers' services, and their alarms. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import ScaledService, ScalingPolicy, Series
from ..scaling import (
    ADJUSTMENT_TYPE,
    AGGREGATION,
    SCALABLE_DIMENSION,
    SERVICE_ADVICE,
    SERVICE_NAMESPACE,
)
from ..stack import Stack
from .hcl import Block, Comment, Joined, Raw, inline, output, variable
from .local_name import local_name
from .terraform_alarms import scaling_alarm_block

__all__ = ["scaling_parts"]

_COUNT_ADVICE = (
    "The service itself is yours. Give it lifecycle { ignore_changes = [desired_count] }, or every "
    "apply undoes what was scaled."
)

#: A validation can refer to another variable only since Terraform 1.9.
_NOT_FEWER = Block(
    "precondition",
    body=(
        ("condition", Raw("var.workers_to >= var.workers_from")),
        ("error_message", "workers_to must not be less than workers_from."),
    ),
)


def scaling_parts(stack: Stack) -> Iterator[Block | Comment]:
    """Yield variables, then of each service its target, policies, and alarms; then the output."""
    yield from _variables(stack)
    yield Comment(f"{_COUNT_ADVICE} {SERVICE_ADVICE}")
    policies = []
    for service in stack.scaling:
        target = f"aws_appautoscaling_target.{_name('workers', service)}"
        yield _target(service)
        for policy in service.policies:
            address = f"aws_appautoscaling_policy.{_name(policy.key, service)}"
            policies.append(Raw(address))
            yield Comment(policy.comment)
            yield _policy(policy, name=_name(policy.key, service), target=target)
            if policy.alarm is not None:
                yield scaling_alarm_block(policy.alarm, stack, policy=Raw(f"{address}.arn"))
    yield Block("locals", body=(("scaling_policies", policies),))
    yield output(
        "scaling_policy_arns",
        "ARN of each scaling policy, by its name.",
        Raw("{ for policy in local.scaling_policies : policy.name => policy.arn }"),
    )


def _variables(stack: Stack) -> Iterator[Block]:
    fewest, most = stack.workers
    yield variable("workers_cluster", "Name of the ECS cluster of the workers.")
    if all(service.service for service in stack.scaling):
        yield variable(
            "workers_services",
            "Name of the ECS service of workers that reads each queue.",
            kind=Raw("map(string)"),
            default={service.queue: service.service for service in stack.scaling},
        )
    else:
        yield variable("workers_service", "Name of the ECS service of the workers.")
    yield variable(
        "workers_from",
        "Fewest tasks of a service.",
        kind=Raw("number"),
        default=fewest,
        check=(
            f"var.workers_from {'>' if fewest else '=='} 0",
            "Scaling to and from zero has policies of its own: write these files anew with "
            "--workers-from.",
        ),
    )
    yield variable("workers_to", "Most tasks of a service.", kind=Raw("number"), default=most)


def _target(service: ScaledService) -> Block:
    name = Raw(
        f"var.workers_services[{inline(service.queue)}]"
        if service.service
        else "var.workers_service"
    )
    return Block(
        "resource",
        ("aws_appautoscaling_target", _name("workers", service)),
        (
            ("service_namespace", SERVICE_NAMESPACE),
            ("scalable_dimension", SCALABLE_DIMENSION),
            ("resource_id", Joined(("service/", Raw("var.workers_cluster"), "/", name))),
            ("min_capacity", Raw("var.workers_from")),
            ("max_capacity", Raw("var.workers_to")),
            ("tags", Raw("local.tags")),
            Block("lifecycle", body=(_NOT_FEWER,)),
        ),
    )


def _name(key: str, service: ScaledService) -> str:
    """Return what a resource of the service is called within the module."""
    return local_name(f"{key}-{service.queue}" if service.service else key)


def _policy(policy: ScalingPolicy, *, name: str, target: str) -> Block:
    return Block(
        "resource",
        ("aws_appautoscaling_policy", name),
        (
            ("name", policy.name),
            ("policy_type", policy.policy_type),
            ("service_namespace", Raw(f"{target}.service_namespace")),
            ("scalable_dimension", Raw(f"{target}.scalable_dimension")),
            ("resource_id", Raw(f"{target}.resource_id")),
            _steps(policy) if policy.series is None else _tracking(policy, policy.series),
        ),
    )


def _tracking(policy: ScalingPolicy, series: Series) -> Block:
    return Block(
        "target_tracking_scaling_policy_configuration",
        body=(
            ("target_value", policy.target),
            ("scale_out_cooldown", policy.cooldown_seconds),
            ("disable_scale_in", True),
            Block(
                "customized_metric_specification",
                body=(
                    ("namespace", series.namespace),
                    ("metric_name", series.metric),
                    ("statistic", series.statistic),
                    *(
                        Block("dimensions", body=(("name", name), ("value", value)))
                        for name, value in series.dimensions
                    ),
                ),
            ),
        ),
    )


def _steps(policy: ScalingPolicy) -> Block:
    return Block(
        "step_scaling_policy_configuration",
        body=(
            ("adjustment_type", ADJUSTMENT_TYPE),
            ("metric_aggregation_type", AGGREGATION),
            ("cooldown", policy.cooldown_seconds),
            *(
                Block(
                    "step_adjustment",
                    body=(
                        ("metric_interval_lower_bound", step.low),
                        ("metric_interval_upper_bound", step.high),
                        ("scaling_adjustment", step.change),
                    ),
                )
                for step in policy.steps
            ),
        ),
    )
