"""Policy: what the monitor may do, and nothing more."""

from __future__ import annotations

from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.policy import monitor_policy, workers_policy
from event_monitor.settings import Settings

from .examples import OPTIONS, read_back

_TAKE = [
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
]


def test_the_monitor_may_write_its_namespace_and_nothing_else() -> None:
    """SQS only if queues are named."""
    statement = {
        "Sid": "PublishMetrics",
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringEquals": {"cloudwatch:namespace": "Shop"}},
    }
    settings = Settings(namespace="Shop")

    assert monitor_policy(settings, ProvisionOptions())["Statement"] == [statement]
    _, *more = read_back(monitor_policy(settings, OPTIONS))["Statement"]
    assert [(added["Action"], added["Resource"]) for added in more] == [
        ("sqs:ListQueues", "*"),
        (["sqs:GetQueueAttributes", "sqs:GetQueueUrl"], list(OPTIONS.sqs_queues)),
        (_TAKE, "arn:{{partition}}:sqs:{{region}}:{{account}}:celeryev"),
        (
            [*_TAKE, "sqs:SendMessage"],
            "arn:{{partition}}:sqs:{{region}}:{{account}}:celeryev-lease.fifo",
        ),
    ]


def test_workers_may_send_events_and_nothing_else() -> None:
    """They need no right at all where none of them goes over SQS."""
    assert workers_policy(ProvisionOptions()) is None
    policy = workers_policy(OPTIONS)
    assert policy is not None
    assert policy["Statement"] == [
        {
            "Sid": "SendEvents",
            "Effect": "Allow",
            "Action": ["sqs:GetQueueUrl", "sqs:SendMessage"],
            "Resource": "arn:{{partition}}:sqs:{{region}}:{{account}}:celeryev",
        }
    ]
