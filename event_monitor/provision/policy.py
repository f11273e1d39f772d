"""Policy: what the monitor may do in AWS, and nothing more. Pure."""

from __future__ import annotations

from typing import Any

from ..settings import Settings
from .options import Choices

__all__ = ["permissions"]


def permissions(settings: Settings, choices: Choices) -> dict[str, Any]:
    """The policy document: its own namespace to write, and queues of SQS if there are any."""
    statements: list[dict[str, Any]] = [
        {
            "Sid": "PublishMetrics",
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",  # it knows no resources; the namespace is what can be restricted
            "Condition": {"StringEquals": {"cloudwatch:namespace": settings.namespace}},
        }
    ]
    if choices.sqs_queues:
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
                "Resource": sorted(choices.sqs_queues),
            },
        ]
    return {"Version": "2012-10-17", "Statement": statements}
