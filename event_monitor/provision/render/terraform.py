"""Terraform: the stack as files of a module of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..stack import Stack
from .hcl import Block, Comment, encoded, text_of
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
_WHERE = tuple(
    Block("data", (kind, "current"))
    for kind in ("aws_caller_identity", "aws_partition", "aws_region")
)
_Parts = Iterator[Block | Comment]


def terraform_files(stack: Stack) -> dict[str, str]:
    """File name → text, for the pieces the stack has; nothing for Grafana."""
    parts: dict[str, Iterable[Block | Comment]] = {}
    if stack.alarms:
        parts["alarms.tf"] = _alarms(stack)
    if stack.dashboard is not None:
        parts["dashboard.tf"] = _dashboard(stack)
    if stack.scaling:
        parts["autoscaling.tf"] = autoscaling_parts(stack)
    if stack.policy is not None:
        parts["iam.tf"] = _iam(stack)
    if stack.container is not None:
        parts["ecs.tf"] = ecs_parts(stack)
    if parts:
        parts["versions.tf"] = (_VERSIONS,)
    return {name: text_of(body) for name, body in parts.items()}


def _alarms(stack: Stack) -> _Parts:
    yield from map(Comment, stack.notes)
    for alarm in stack.alarms:
        yield alarm_block(alarm, stack.prefix, actions=list(alarm.actions))
    if stack.composite is not None:
        yield composite_block(stack.composite, stack.prefix)


def _dashboard(stack: Stack) -> _Parts:
    yield from _WHERE
    yield Block(
        "resource",
        ("aws_cloudwatch_dashboard", "celery"),
        (("dashboard_name", stack.dashboard_name), ("dashboard_body", encoded(stack.dashboard))),
    )


def _iam(stack: Stack) -> _Parts:
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
