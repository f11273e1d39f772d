"""Terraform: the stack as files of a module of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..stack import Stack
from .hcl import Block, Comment, Parts, encoded, text_of
from .terraform_alarms import alarm_block, composite_block
from .terraform_ecs import autoscaling_parts, ecs_parts

__all__ = ["terraform_files"]

_VERSIONS = Block(
    "terraform",
    body=(
        ("required_version", ">= 1.5"),
        Block(
            "required_providers",
            body=(("aws", {"source": "hashicorp/aws", "version": ">= 5.0"}),),
        ),
    ),
)
#: Where placeholders of partition, region and account are read from.
_LOCATION = tuple(
    Block("data", (kind, "current"))
    for kind in ("aws_caller_identity", "aws_partition", "aws_region")
)


def terraform_files(stack: Stack) -> dict[str, str]:
    """Return file name → text for the pieces the stack has; nothing for Grafana."""
    files: dict[str, Parts] = {}
    if stack.alarms:
        files["alarms.tf"] = _alarms(stack)
    if stack.dashboard is not None:
        files["dashboard.tf"] = _dashboard(stack)
    if stack.scaling:
        files["autoscaling.tf"] = autoscaling_parts(stack)
    if stack.policy is not None:
        files["iam.tf"] = _iam(stack)
    if stack.container is not None:
        files["ecs.tf"] = ecs_parts(stack.prefix, stack.container, stack.container_policy)
    if files:
        files["versions.tf"] = (_VERSIONS,)
    return {name: text_of(parts) for name, parts in files.items()}


def _alarms(stack: Stack) -> Iterator[Block | Comment]:
    yield from map(Comment, stack.notes)
    for alarm in stack.alarms:
        yield alarm_block(alarm, stack.prefix)
    if stack.composite is not None:
        yield composite_block(stack.composite, stack.prefix)


def _dashboard(stack: Stack) -> Iterator[Block | Comment]:
    yield from _LOCATION
    yield Block(
        "resource",
        ("aws_cloudwatch_dashboard", "celery"),
        (("dashboard_name", stack.dashboard_name), ("dashboard_body", encoded(stack.dashboard))),
    )


def _iam(stack: Stack) -> Iterator[Block | Comment]:
    yield Comment("Attach it to the role the monitor runs under.")
    yield Block(
        "resource",
        ("aws_iam_policy", "monitor"),
        (
            ("name", f"{stack.prefix}-monitor"),
            ("description", "What the Celery event monitor may do."),
            ("policy", encoded(stack.policy)),
        ),
    )
