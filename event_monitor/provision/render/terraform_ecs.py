"""Terraform, ECS: scaling of the workers' service, and the service that is the monitor. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import ScalingPolicy, Series
from ..policy import ECS_TRUST_POLICY
from ..scaling import ADJUSTMENT_TYPE, AGGREGATION, SCALABLE_DIMENSION, SERVICE_NAMESPACE
from ..stack import Stack
from ..task_definition import (
    CPU,
    MEMORY,
    MONITOR_INPUTS,
    WORKERS_INPUTS,
    Container,
    Input,
    complete_container,
)
from .hcl import Block, Comment, Raw, encoded, variable
from .terraform_alarms import scaling_alarm_block

__all__ = ["autoscaling_parts", "ecs_parts"]


def _variables(inputs: tuple[Input, ...]) -> Iterator[Block]:
    for value in inputs:
        kind = "list(string)" if value.element_type else "string"
        yield variable(value.name, value.description, kind=kind)


# -- scaling of the workers ------------------------------------------------------------------------


def autoscaling_parts(stack: Stack) -> Iterator[Block | Comment]:
    """Yield target, policies, and the alarms that trigger them."""
    fewest, most = stack.workers
    yield Comment("Decide: which service runs the workers.")
    yield from _variables(WORKERS_INPUTS)
    yield Block(
        "resource",
        ("aws_appautoscaling_target", "workers"),
        (
            ("service_namespace", SERVICE_NAMESPACE),
            ("scalable_dimension", SCALABLE_DIMENSION),
            ("resource_id", Raw('"service/${var.workers_cluster}/${var.workers_service}"')),
            ("min_capacity", fewest),
            ("max_capacity", most),
        ),
    )
    for scaling in stack.scaling:
        yield Comment(scaling.comment)
        yield _policy(scaling)
        if scaling.alarm is not None:
            policy = Raw(f"aws_appautoscaling_policy.{scaling.key}.arn")
            yield scaling_alarm_block(scaling.alarm, stack.prefix, policy=policy)


def _policy(scaling: ScalingPolicy) -> Block:
    target = "aws_appautoscaling_target.workers"
    return Block(
        "resource",
        ("aws_appautoscaling_policy", scaling.key),
        (
            ("name", scaling.name),
            ("policy_type", scaling.policy_type),
            ("service_namespace", Raw(f"{target}.service_namespace")),
            ("scalable_dimension", Raw(f"{target}.scalable_dimension")),
            ("resource_id", Raw(f"{target}.resource_id")),
            _steps(scaling) if scaling.series is None else _tracking(scaling, scaling.series),
        ),
    )


def _tracking(scaling: ScalingPolicy, series: Series) -> Block:
    return Block(
        "target_tracking_scaling_policy_configuration",
        body=(
            ("target_value", scaling.target),
            ("scale_out_cooldown", scaling.cooldown_seconds),
            ("scale_in_cooldown", scaling.in_cooldown_seconds),
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


def _steps(scaling: ScalingPolicy) -> Block:
    return Block(
        "step_scaling_policy_configuration",
        body=(
            ("adjustment_type", ADJUSTMENT_TYPE),
            ("metric_aggregation_type", AGGREGATION),
            ("cooldown", scaling.cooldown_seconds),
            *(
                Block(
                    "step_adjustment",
                    body=(
                        ("metric_interval_lower_bound", step.low),
                        ("metric_interval_upper_bound", step.high),
                        ("scaling_adjustment", step.change),
                    ),
                )
                for step in scaling.steps
            ),
        ),
    )


# -- the monitor's service -------------------------------------------------------------------------


def ecs_parts(
    prefix: str, container: Container, policy: dict[str, object] | None
) -> Iterator[Block | Comment]:
    """Yield role, task definition and service of one monitor."""
    yield Comment("Decide: what runs, where, and under which roles.")
    yield from _variables(MONITOR_INPUTS)
    yield Block("data", ("aws_region", "monitor"))
    yield Block(
        "resource",
        ("aws_iam_role", "monitor"),
        (
            ("name", f"{prefix}-monitor"),
            ("assume_role_policy", encoded(ECS_TRUST_POLICY)),
        ),
    )
    yield Block(
        "resource",
        ("aws_iam_role_policy", "monitor"),
        (
            ("name", "monitor"),
            ("role", Raw("aws_iam_role.monitor.id")),
            ("policy", encoded(policy)),
        ),
    )
    yield _task_definition(container)
    yield Comment("One task, and never two at once: a second monitor would count everything again.")
    yield Block(
        "resource",
        ("aws_ecs_service", "monitor"),
        (
            ("name", f"{prefix}-monitor"),
            ("cluster", Raw("var.monitor_cluster")),
            ("task_definition", Raw("aws_ecs_task_definition.monitor.arn")),
            ("launch_type", "FARGATE"),
            ("desired_count", 1),
            ("deployment_minimum_healthy_percent", 0),
            ("deployment_maximum_percent", 100),
            Block(
                "network_configuration",
                body=(
                    ("subnets", Raw("var.monitor_subnets")),
                    ("security_groups", Raw("var.monitor_security_groups")),
                ),
            ),
        ),
    )


def _task_definition(container: Container) -> Block:
    complete = complete_container(
        container,
        image=Raw("var.monitor_image"),
        app=Raw("var.monitor_app"),
        broker_secret=Raw("var.monitor_broker_secret"),
        log_group=Raw("var.monitor_log_group"),
        region=Raw("data.aws_region.monitor.id"),
    )
    return Block(
        "resource",
        ("aws_ecs_task_definition", "monitor"),
        (
            ("family", container["name"]),
            ("requires_compatibilities", ["FARGATE"]),
            ("network_mode", "awsvpc"),
            ("cpu", CPU),
            ("memory", MEMORY),
            ("execution_role_arn", Raw("var.monitor_execution_role")),
            ("task_role_arn", Raw("aws_iam_role.monitor.arn")),
            ("container_definitions", encoded([complete])),
            *(
                Block("volume", body=(("name", mount["sourceVolume"]),))
                for mount in container["mountPoints"]
            ),
        ),
    )
