"""Terraform, ECS: the service that is the monitor, its task definition and its role. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ...settings import ENV_PREFIX
from ..inputs import Input
from ..policy import ECS_TRUST_POLICY
from ..stack import Stack
from ..task_definition import (
    MAX_PERCENT,
    MIN_HEALTHY_PERCENT,
    OPERATING_SYSTEM,
    REBALANCING,
    STATE_VOLUME,
    Container,
    Variables,
    complete_container,
    monitor_inputs,
)
from .hcl import Block, Call, Comment, Raw, encoded, inline, output, variable

__all__ = ["ecs_parts"]


def ecs_parts(stack: Stack, container: Container) -> Iterator[Block | Comment]:
    """Yield role, task definition and service of one monitor, and the outputs."""
    yield Comment("Decide: what runs, where, and under which roles.")
    yield from map(_variable, monitor_inputs(container))
    yield _variables_of_app(
        "monitor_environment", "Environment variables of the app.", stack.environment
    )
    yield _variables_of_app(
        "monitor_secrets",
        "The same that come from secrets: of each the ARN, which may go on with :KEY::.",
        stack.secrets,
    )
    yield Block(
        "resource",
        ("aws_iam_role", "monitor"),
        (
            ("name", container["name"]),
            ("assume_role_policy", encoded(ECS_TRUST_POLICY)),
            ("tags", Raw("local.tags")),
        ),
    )
    permissions = _permissions(stack)
    yield permissions
    yield _task_definition(container)
    yield Comment("One task, and never two at once: a second monitor would count everything again.")
    yield _service(container, permissions)
    yield output("role_arn", "ARN of the monitor's role.", Raw("aws_iam_role.monitor.arn"))
    yield output("role_name", "Name of the monitor's role.", Raw("aws_iam_role.monitor.name"))
    yield output("service_name", "Name of its service.", Raw("aws_ecs_service.monitor.name"))
    yield output(
        "task_definition_arn",
        "ARN of its task definition.",
        Raw("aws_ecs_task_definition.monitor.arn"),
    )


def _variable(value: Input) -> Block:
    check = None
    if value.allowed:
        condition = f"contains({inline(list(value.allowed))}, var.{value.name})"
        check = (condition, f"It must be {' or '.join(value.allowed)}.")
    kind = Raw("list(string)" if value.element_type else "string")
    return variable(value.name, value.description, kind=kind, default=value.default, check=check)


def _variables_of_app(name: str, description: str, default: Variables) -> Block:
    return variable(
        name,
        description,
        kind=Raw("map(string)"),
        default=dict(default),
        check=(
            f'alltrue([for name in keys(var.{name}) : !startswith(name, "{ENV_PREFIX}")])',
            "The monitor's own settings are not changed here: write these files anew.",
        ),
    )


def _with_variables_of_app(own: object, name: str, key: str) -> Call:
    """Return the container's own variables and, after them, those of that variable."""
    return Call(
        "concat", own, Raw(f"[for name, value in var.{name} : {{ name = name, {key} = value }}]")
    )


def _reference(name: str) -> Raw:
    return Raw(f"var.{name}")


def _permissions(stack: Stack) -> Block:
    """Return what gives the role its policy: the one of its own file, if that is written too."""
    if stack.policy is not None:
        return Block(
            "resource",
            ("aws_iam_role_policy_attachment", "monitor"),
            (
                ("role", Raw("aws_iam_role.monitor.name")),
                ("policy_arn", Raw("aws_iam_policy.monitor.arn")),
            ),
        )
    return Block(
        "resource",
        ("aws_iam_role_policy", "monitor"),
        (
            ("name", "monitor"),
            ("role", Raw("aws_iam_role.monitor.id")),
            ("policy", encoded(stack.container_policy)),
        ),
    )


def _task_definition(container: Container) -> Block:
    complete = complete_container(container, _reference, region=Raw("data.aws_region.current.id"))
    complete["environment"] = _with_variables_of_app(
        complete["environment"], "monitor_environment", "value"
    )
    complete["secrets"] = _with_variables_of_app(
        complete["secrets"], "monitor_secrets", "valueFrom"
    )
    return Block(
        "resource",
        ("aws_ecs_task_definition", "monitor"),
        (
            ("family", container["name"]),
            ("requires_compatibilities", ["FARGATE"]),
            ("network_mode", "awsvpc"),
            ("cpu", Raw("var.monitor_cpu")),
            ("memory", Raw("var.monitor_memory")),
            ("execution_role_arn", Raw("var.monitor_execution_role")),
            ("task_role_arn", Raw("aws_iam_role.monitor.arn")),
            ("container_definitions", encoded([complete])),
            ("tags", Raw("local.tags")),
            Block(
                "runtime_platform",
                body=(
                    ("operating_system_family", OPERATING_SYSTEM),
                    ("cpu_architecture", Raw("var.monitor_architecture")),
                ),
            ),
            *(_volume(mount["sourceVolume"]) for mount in container["mountPoints"]),
        ),
    )


def _volume(name: str) -> Block:
    if name != STATE_VOLUME:
        return Block("volume", body=(("name", name),))
    file_system = _if_given(
        "monitor_state_file_system",
        "efs_volume_configuration",
        (
            ("file_system_id", Raw("var.monitor_state_file_system")),
            ("transit_encryption", "ENABLED"),
            _if_given(
                "monitor_state_access_point",
                "authorization_config",
                (("access_point_id", Raw("var.monitor_state_access_point")),),
            ),
        ),
    )
    return Block("volume", body=(("name", name), file_system))


def _if_given(input_name: str, kind: str, content: tuple[tuple[str, object] | Block, ...]) -> Block:
    """Return a block that is there only if the input is not empty."""
    given = Raw(f'var.{input_name} == "" ? [] : [1]')
    return Block("dynamic", (kind,), (("for_each", given), Block("content", body=content)))


def _service(container: Container, permissions: Block) -> Block:
    """Return the service, which starts when its role may publish, and stops before."""
    return Block(
        "resource",
        ("aws_ecs_service", "monitor"),
        (
            ("name", container["name"]),
            ("cluster", Raw("var.monitor_cluster")),
            ("task_definition", Raw("aws_ecs_task_definition.monitor.arn")),
            ("launch_type", "FARGATE"),
            ("desired_count", 1),
            ("deployment_minimum_healthy_percent", MIN_HEALTHY_PERCENT),
            ("deployment_maximum_percent", MAX_PERCENT),
            ("availability_zone_rebalancing", REBALANCING),
            ("propagate_tags", "SERVICE"),
            ("tags", Raw("local.tags")),
            ("depends_on", [Raw(".".join(permissions.labels))]),
            Block("deployment_circuit_breaker", body=(("enable", True), ("rollback", True))),
            Block(
                "network_configuration",
                body=(
                    ("subnets", Raw("var.monitor_subnets")),
                    ("security_groups", Raw("var.monitor_security_groups")),
                ),
            ),
        ),
    )
