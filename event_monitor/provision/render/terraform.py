"""Terraform: the stack as files of a module of its own. Pure.

Each piece is a file with its own variables and outputs. What pieces share is the same whichever of
them are written, so that a module can be written piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..stack import Stack
from .hcl import Block, Call, Comment, Parts, Raw, encoded, inline, output, text_of, variable
from .terraform_alarms import alarm_parts, thresholds_variable
from .terraform_ecs import ecs_parts
from .terraform_scaling import scaling_parts

__all__ = ["SHARED_FILES", "terraform_files"]

#: Of every module, or of every module with alarms, a dashboard or a role in it.
SHARED_FILES = ("variables.tf", "thresholds.tf", "data.tf", "versions.tf")

_VERSIONS = Block(
    "terraform",
    body=(
        ("required_version", ">= 1.5"),
        Block(
            "required_providers",
            # 5.77 is the first that knows of ECS's rebalancing.
            body=(("aws", {"source": "hashicorp/aws", "version": ">= 5.77"}),),
        ),
    ),
)
#: Where placeholders of partition, region and account are read from.
_LOCATION = tuple(
    Block("data", (kind, "current"))
    for kind in ("aws_caller_identity", "aws_partition", "aws_region")
)
_TAGS = Block(
    "locals",
    body=(("tags", Call("merge", Raw("var.tags"), {"event-monitor-prefix": Raw("var.prefix")})),),
)


def terraform_files(stack: Stack) -> dict[str, str]:
    """Return file name → text for the pieces the stack has; nothing for Grafana."""
    template = stack.template or stack
    files: dict[str, Parts] = {}
    if stack.alarms:
        files["alarms.tf"] = alarm_parts(template)
    if template.dashboard is not None:
        files["dashboard.tf"] = _dashboard(template)
    if template.scaling:
        files["autoscaling.tf"] = scaling_parts(template)
    if template.policy is not None:
        files["iam.tf"] = _iam(template)
    if template.queues:
        files["sqs.tf"] = _sqs(template)
    if template.container is not None:
        files["ecs.tf"] = ecs_parts(template, template.container)
    if {"dashboard.tf", "ecs.tf", "sqs.tf"} & files.keys() or (
        template.policy is not None and template.policy_names_queues
    ):
        files["data.tf"] = _LOCATION
    if {"alarms.tf", "dashboard.tf"} & files.keys() and template.known_alarms:
        files["thresholds.tf"] = (thresholds_variable(template.known_alarms),)
    if files:
        files["variables.tf"] = _variables(stack)
        files["versions.tf"] = (_VERSIONS,)
    of_others = (*stack.container_notes, *stack.scaling_notes)
    remarks = {
        "alarms.tf": [note for note in stack.notes if note not in of_others],
        "autoscaling.tf": stack.scaling_notes,
        "ecs.tf": stack.container_notes,
    }
    return {name: _remarks(remarks.get(name, ())) + text_of(parts) for name, parts in files.items()}


def _remarks(notes: Sequence[str]) -> str:
    """Return the notes as comments at the beginning of a file, apart from what follows."""
    return f"{text_of(map(Comment, notes))}\n" if notes else ""


def _variables(stack: Stack) -> Iterator[Block]:
    yield variable(
        "prefix",
        "Beginning of every name.",
        default=stack.prefix,
        check=(
            'can(regex("^[A-Za-z][A-Za-z0-9_-]{0,39}$", var.prefix))',
            "The prefix must be 1 to 40 letters, digits, _ or -, and begin with a letter.",
        ),
    )
    yield variable(
        "namespace",
        "CloudWatch namespace into which the monitor publishes.",
        default=stack.namespace,
    )
    names = [name for name, _ in sorted(stack.dimensions)]
    yield variable(
        "dimensions",
        "Static dimensions that the monitor adds to every metric.",
        kind=Raw("map(string)"),
        default=dict(stack.dimensions),
        check=(
            f"jsonencode(keys(var.dimensions)) == {inline(encoded(names))}",
            f"Only values can be changed here, of {', '.join(names)}."
            if names
            else "There are none: write these files anew with --dimensions.",
        ),
    )
    yield variable(
        "tags", "Tags of every resource that can have some.", kind=Raw("map(string)"), default={}
    )
    yield _TAGS


def _dashboard(stack: Stack) -> Iterator[Block]:
    yield Block(
        "resource",
        ("aws_cloudwatch_dashboard", "celery"),
        (("dashboard_name", stack.dashboard_name), ("dashboard_body", encoded(stack.dashboard))),
    )
    dashboard = "aws_cloudwatch_dashboard.celery"
    yield output("dashboard_name", "Name of the dashboard.", Raw(f"{dashboard}.dashboard_name"))
    yield output("dashboard_arn", "ARN of the dashboard.", Raw(f"{dashboard}.dashboard_arn"))


def _sqs(stack: Stack) -> Iterator[Block]:
    for queue in stack.queues:
        yield Block(
            "resource",
            ("aws_sqs_queue", queue.key),
            (
                ("name", queue.name),
                ("fifo_queue", queue.is_fifo or None),
                ("visibility_timeout_seconds", queue.visibility_seconds),
                ("message_retention_seconds", queue.retention_seconds),
                ("receive_wait_time_seconds", queue.wait_seconds),
                ("sqs_managed_sse_enabled", True),
                ("tags", Raw("local.tags")),
            ),
        )
    yield Block(
        "resource",
        ("aws_iam_policy", "workers"),
        (
            ("name", f"{stack.prefix}-workers"),
            ("description", "What whoever calls send_events_over_sqs may do."),
            ("policy", encoded(stack.workers_policy)),
            ("tags", Raw("local.tags")),
        ),
    )
    events = "aws_sqs_queue.events"
    yield output("event_queue_url", "URL of the queue of events.", Raw(f"{events}.url"))
    yield output(
        "workers_policy_arn",
        "ARN of the policy for the roles of workers.",
        Raw("aws_iam_policy.workers.arn"),
    )


def _iam(stack: Stack) -> Iterator[Block | Comment]:
    if stack.container is None:
        yield Comment("Attach it to the role the monitor runs under.")
    yield Block(
        "resource",
        ("aws_iam_policy", "monitor"),
        (
            ("name", f"{stack.prefix}-monitor"),
            ("description", "What the Celery event monitor may do."),
            ("policy", encoded(stack.policy)),
            ("tags", Raw("local.tags")),
        ),
    )
    yield output("policy_arn", "ARN of the monitor's policy.", Raw("aws_iam_policy.monitor.arn"))
