"""Inputs: what only the reader of the files knows. Pure.

Each is a variable of Terraform, a parameter of CloudFormation, a placeholder in JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MANAGEMENT_INPUT", "MONITOR_INPUTS", "STATE_INPUTS", "USER", "Input"]

USER = 1000  # that the monitor runs as: any but root; the image need not know it by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Something only the reader knows; one with a default need not be given."""

    name: str  # words joined by underscores
    description: str
    element_type: str = ""  # CloudFormation's, of what is a list
    default: str | None = None
    allowed: tuple[str, ...] = ()  # empty: anything


MONITOR_INPUTS = (
    Input(
        name="monitor_image", description="Image with the app and celery-event-monitor installed."
    ),
    Input(name="monitor_app", description="The Celery app, as in celery -A."),
    Input(
        name="monitor_broker_secret",
        description="ARN of the secret that holds the broker's URL.",
    ),
    Input(
        name="monitor_execution_role",
        description=(
            "ARN of the role with which ECS starts the task. It needs "
            "secretsmanager:GetSecretValue on every secret of the container, or "
            "ssm:GetParameters on what is kept in Parameter Store (and kms:Decrypt if the key is "
            "your own), ecr:GetAuthorizationToken, ecr:BatchGetImage and "
            "ecr:GetDownloadUrlForLayer for the image, logs:CreateLogStream and "
            "logs:PutLogEvents on the log group."
        ),
    ),
    Input(name="monitor_log_group", description="Name of the log group, which must exist."),
    Input(name="monitor_cluster", description="Name of the ECS cluster the monitor runs in."),
    Input(
        name="monitor_subnets",
        description=(
            "Subnets from which the broker can be reached and, by NAT or VPC endpoints, "
            "CloudWatch (monitoring), CloudWatch Logs, Secrets Manager, and ECR with S3."
        ),
        element_type="AWS::EC2::Subnet::Id",
    ),
    Input(
        name="monitor_security_groups",
        description="Security groups of the monitor: out to the broker and to port 443.",
        element_type="AWS::EC2::SecurityGroup::Id",
    ),
    Input(
        name="monitor_architecture",
        description="Processor that the image is built for.",
        default="X86_64",
        allowed=("X86_64", "ARM64"),
    ),
    # The smallest of Fargate: a quarter of a core, half a GiB.
    Input(name="monitor_cpu", description="CPU units of the task; 1024 are a core.", default="256"),
    Input(
        name="monitor_memory",
        description="MiB of memory of the task, as many as Fargate allows with that CPU.",
        default="512",
    ),
)
#: What only a monitor with a ``management_url`` needs.
MANAGEMENT_INPUT = Input(
    name="monitor_management_secret",
    description="ARN of the secret that holds the URL of RabbitMQ's management API.",
)
STATE_INPUTS = (
    Input(
        name="monitor_state_file_system",
        description=(
            "Id of the EFS file system that keeps the state across deployments, reached at port "
            "2049; without one the state is lost with the task."
        ),
        default="",
    ),
    Input(
        name="monitor_state_access_point",
        description=f"Id of its access point, whose POSIX user is {USER}.",
        default="",
    ),
)
