"""Terraform, ECS: scaling of the workers' service, and the service that is the monitor. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Scaling, Series
from ..policy import ECS_TRUST_POLICY
from ..stack import Stack
from ..task_definition import CPU, MEMORY
from .hcl import Block, Comment, Raw, encoded
from .terraform_alarms import alarm_block

__all__ = ["autoscaling_parts", "ecs_parts"]

_Parts = Iterator[Block | Comment]


def _variable(name: str, description: str, kind: str = "string") -> Block:
    return Block("variable", (name,), (("type", Raw(kind)), ("description", description)))


def autoscaling_parts(stack: Stack) -> _Parts:
    """Target, policies, and the alarms that set them off."""
    low, high = stack.workers
    yield Comment("Decide: which service runs the workers.")
    yield _variable("workers_cluster", "Name of the ECS cluster of the workers.")
    yield _variable("workers_service", "Name of the ECS service of the workers.")
    yield Block(
        "resource",
        ("aws_appautoscaling_target", "workers"),
        (
            ("service_namespace", "ecs"),
            ("scalable_dimension", "ecs:service:DesiredCount"),
            ("resource_id", Raw('"service/${var.workers_cluster}/${var.workers_service}"')),
            ("min_capacity", low),
            ("max_capacity", high),
        ),
    )
    for scaling in stack.scaling:
        yield Comment(scaling.comment)
        yield _policy(scaling)
        if scaling.alarm is not None:
            arn = Raw(f"aws_appautoscaling_policy.{scaling.key}.arn")
            yield alarm_block(scaling.alarm, stack.prefix, actions=[arn], quiet=True)


def _policy(scaling: Scaling) -> Block:
    target = "aws_appautoscaling_target.workers"
    if scaling.series is None:
        kind, how = "StepScaling", _steps(scaling)
    else:
        kind, how = "TargetTrackingScaling", _tracking(scaling, scaling.series)
    return Block(
        "resource",
        ("aws_appautoscaling_policy", scaling.key),
        (
            ("name", scaling.name),
            ("policy_type", kind),
            ("service_namespace", Raw(f"{target}.service_namespace")),
            ("scalable_dimension", Raw(f"{target}.scalable_dimension")),
            ("resource_id", Raw(f"{target}.resource_id")),
            how,
        ),
    )


def _tracking(scaling: Scaling, series: Series) -> Block:
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


def _steps(scaling: Scaling) -> Block:
    return Block(
        "step_scaling_policy_configuration",
        body=(
            ("adjustment_type", "ChangeInCapacity"),
            ("metric_aggregation_type", "Maximum"),
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


def ecs_parts(stack: Stack) -> _Parts:
    """Role, task definition and service of one monitor."""
    yield Comment("Decide: what is run, where, and under which roles.")
    yield _variable("monitor_image", "Image that has the app and celery-event-monitor.")
    yield _variable("monitor_app", "The Celery app, as in celery -A.")
    yield _variable("monitor_broker_secret", "ARN of the secret that holds the broker's URL.")
    yield _variable("monitor_execution_role", "ARN of the role ECS pulls and logs with.")
    yield _variable("monitor_log_group", "Name of the log group.")
    yield _variable("monitor_cluster", "Name of the ECS cluster the monitor runs in.")
    yield _variable("monitor_subnets", "Subnets with a way to the broker.", "list(string)")
    yield _variable("monitor_security_groups", "Its security groups.", "list(string)")
    yield Block("data", ("aws_region", "monitor"))
    yield Block(
        "resource",
        ("aws_iam_role", "monitor"),
        (
            ("name", f"{stack.prefix}-monitor"),
            ("assume_role_policy", encoded(ECS_TRUST_POLICY)),
        ),
    )
    yield Block(
        "resource",
        ("aws_iam_role_policy", "monitor"),
        (
            ("name", "monitor"),
            ("role", Raw("aws_iam_role.monitor.id")),
            ("policy", encoded(stack.container_policy)),
        ),
    )
    yield _task_definition(stack)
    yield Comment("One task, and never two at once: a second monitor counts everything again.")
    yield Block(
        "resource",
        ("aws_ecs_service", "monitor"),
        (
            ("name", f"{stack.prefix}-monitor"),
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


def _task_definition(stack: Stack) -> Block:
    made = dict(stack.container or {})
    app = {"name": "EVENT_MONITOR_APP", "value": Raw("var.monitor_app")}
    broker = {"name": "EVENT_MONITOR_BROKER", "valueFrom": Raw("var.monitor_broker_secret")}
    made |= {
        "image": Raw("var.monitor_image"),
        "environment": [app, *made["environment"]],
        "secrets": [broker],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": Raw("var.monitor_log_group"),
                "awslogs-region": Raw("data.aws_region.monitor.id"),
                "awslogs-stream-prefix": made["name"],
            },
        },
    }
    return Block(
        "resource",
        ("aws_ecs_task_definition", "monitor"),
        (
            ("family", made["name"]),
            ("requires_compatibilities", ["FARGATE"]),
            ("network_mode", "awsvpc"),
            ("cpu", CPU),
            ("memory", MEMORY),
            ("execution_role_arn", Raw("var.monitor_execution_role")),
            ("task_role_arn", Raw("aws_iam_role.monitor.arn")),
            ("container_definitions", encoded([made])),
        ),
    )
