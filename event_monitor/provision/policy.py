"""Policy: what the monitor may do in AWS, and who may assume its role. Pure."""

from __future__ import annotations

from ..settings import Settings
from ..sinks.permission import put_metric_data_statement
from .event_queue import LEASE_SUFFIX
from .model import PlaceholderText
from .options import ProvisionOptions

__all__ = ["ECS_TRUST_POLICY", "monitor_policy", "workers_policy"]

_TAKE = (
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
)
_VERSION = "2012-10-17"  # of the policy language; the newest there is

#: Lets tasks of ECS assume the role: those of this account only, whoever asks ECS to.
ECS_TRUST_POLICY: dict[str, object] = {
    "Version": _VERSION,
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Condition": {
                "StringEquals": {"aws:SourceAccount": PlaceholderText("{{account}}")},
                "ArnLike": {
                    "aws:SourceArn": PlaceholderText(
                        "arn:{{partition}}:ecs:{{region}}:{{account}}:*"
                    )
                },
            },
        }
    ],
}


def monitor_policy(settings: Settings, options: ProvisionOptions) -> dict[str, object]:
    """Return the policy document: publish into one namespace, and read SQS queues if any.

    Of the queue that carries events it takes them, and of its lease it sends the one message.
    """
    statements = [{"Sid": "PublishMetrics", **put_metric_data_statement(settings.namespace)}]
    if options.sqs_queues:
        statements += [
            {
                "Sid": "FindQueues",  # kombu lists them to learn their URLs
                "Effect": "Allow",
                "Action": "sqs:ListQueues",
                "Resource": "*",
            },
            {
                "Sid": "ReadDepths",
                "Effect": "Allow",
                "Action": ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"],
                "Resource": sorted(options.sqs_queues),
            },
        ]
    if options.event_queue:
        statements += [
            {
                "Sid": "TakeEvents",
                "Effect": "Allow",
                "Action": list(_TAKE),
                "Resource": _queue_arn(options.event_queue),
            },
            {
                "Sid": "HoldLease",
                "Effect": "Allow",
                "Action": [*_TAKE, "sqs:SendMessage"],
                "Resource": _queue_arn(options.event_queue + LEASE_SUFFIX),
            },
        ]
    return {"Version": _VERSION, "Statement": statements}


def workers_policy(options: ProvisionOptions) -> dict[str, object] | None:
    """Return what whoever calls ``send_events_over_sqs`` may do; None where nobody does."""
    if not options.event_queue:
        return None
    statement = {
        "Sid": "SendEvents",
        "Effect": "Allow",
        "Action": ["sqs:GetQueueUrl", "sqs:SendMessage"],
        "Resource": _queue_arn(options.event_queue),
    }
    return {"Version": _VERSION, "Statement": [statement]}


def _queue_arn(name: str) -> PlaceholderText:
    return PlaceholderText(f"arn:{{{{partition}}}}:sqs:{{{{region}}}}:{{{{account}}}}:{name}")
