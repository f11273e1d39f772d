"""Permission: the one IAM statement the monitor needs in order to publish. Pure."""

from __future__ import annotations

__all__ = ["put_metric_data_statement"]


def put_metric_data_statement(namespace: str) -> dict[str, object]:
    """Return the statement that allows PutMetricData in this namespace and nothing else."""
    return {
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",  # PutMetricData has no resources; a condition can restrict the namespace
        "Condition": {"StringEquals": {"cloudwatch:namespace": namespace}},
    }
