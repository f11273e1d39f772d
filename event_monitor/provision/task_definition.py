"""Task definition: the container that runs the monitor on ECS. Pure.

What is not known here, such as the image, is an input: a variable of Terraform, a parameter of
CloudFormation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import PurePosixPath
from typing import TypedDict

from ..settings import Settings
from ..settings import options as setting_options
from ..settings.parsers import text_of
from .options import ProvisionOptions

__all__ = [
    "CPU",
    "HEALTH_CHECK",
    "MEMORY",
    "MONITOR_INPUTS",
    "WORKERS_INPUTS",
    "Container",
    "Input",
    "complete_container",
    "container_definition",
    "container_notes",
    "environment",
]

CPU, MEMORY = "256", "512"  # the smallest of Fargate: a quarter of a core, half a GiB
MAX_STOP_SECONDS = 120  # Fargate's limit
_STOP_MARGIN_SECONDS = 10  # to disconnect and to exit, after the drain
_USER = 1000  # any but root; the image need not know it by name
_SECRET_SETTINGS = frozenset({"management_url"})  # may hold a password: it belongs in a secret
_SET_BY_ECS = frozenset({"region"})  # as AWS_REGION


class HealthCheck(TypedDict):
    """A health check as ECS writes it; times in seconds."""

    command: list[str]
    interval: int
    timeout: int
    retries: int
    startPeriod: int


class MountPoint(TypedDict):
    """Where a volume of the task is mounted, as ECS writes it."""

    sourceVolume: str
    containerPath: str
    readOnly: bool


class Container(TypedDict):
    """A container definition as ECS writes it, as far as it is known without the inputs."""

    name: str
    essential: bool
    command: list[str]
    user: str
    readonlyRootFilesystem: bool
    mountPoints: list[MountPoint]
    stopTimeout: int
    environment: list[dict[str, object]]
    healthCheck: HealthCheck


#: ECS ignores a Dockerfile's HEALTHCHECK, so the check stands in the task definition.
HEALTH_CHECK: HealthCheck = {
    "command": ["CMD", "event-monitor", "healthcheck", "--monitor"],
    "interval": 30,
    "timeout": 10,
    "retries": 3,
    "startPeriod": 60,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Something only the reader knows. ``element_type`` is CloudFormation's, of what is a list."""

    name: str  # words joined by underscores
    description: str
    element_type: str = ""


WORKERS_INPUTS = (
    Input(name="workers_cluster", description="Name of the ECS cluster of the workers."),
    Input(name="workers_service", description="Name of the ECS service of the workers."),
)
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
        description="ARN of the role with which ECS pulls the image and writes logs.",
    ),
    Input(name="monitor_log_group", description="Name of the log group."),
    Input(name="monitor_cluster", description="Name of the ECS cluster the monitor runs in."),
    Input(
        name="monitor_subnets",
        description="Subnets from which the broker can be reached.",
        element_type="AWS::EC2::Subnet::Id",
    ),
    Input(
        name="monitor_security_groups",
        description="Security groups of the monitor.",
        element_type="AWS::EC2::SecurityGroup::Id",
    ),
)


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that give a monitor these settings, without defaults and secrets."""
    variables: dict[str, str] = {}
    for option in setting_options():
        value = getattr(settings, option.name)
        if value != option.default and option.name not in _SECRET_SETTINGS | _SET_BY_ECS:
            variables[option.environ] = text_of(value) or "none"  # an empty variable means: not set
    return variables


def container_notes(settings: Settings) -> tuple[str, ...]:
    """Return a sentence for each thing the container needs that cannot be written in it."""
    notes = [
        f"{option.environ} is left out, since it may hold a password: give it as a secret."
        for option in setting_options()
        if option.name in _SECRET_SETTINGS and getattr(settings, option.name) != option.default
    ]
    for name, place in _volumes(settings):
        if not PurePosixPath(place).is_absolute():
            notes.append(f"{place} is on the read-only root file system: give an absolute path.")
        elif name != "tmp":  # the monitor can do without temporary files
            notes.append(
                f"{place} is a volume that user {_USER} has to own: in the image, make it with "
                f"`install -d -o {_USER} -g {_USER} {place}` and declare it as a VOLUME."
            )
    if settings.state_dir:
        notes.append(
            f"state_dir {settings.state_dir} is lost with the task: mount a volume that outlives "
            "it there to keep it across deployments."
        )
    return tuple(notes)


def container_definition(settings: Settings, options: ProvisionOptions) -> Container:
    """Return the container without its inputs; a stop waits for the drain, if ECS allows it.

    It can write to its volumes only.
    """
    stop_seconds = ceil(settings.drain_seconds) + _STOP_MARGIN_SECONDS
    return {
        "name": f"{options.prefix}-monitor",
        "essential": True,
        "command": ["event-monitor", "run"],
        "user": f"{_USER}:{_USER}",
        "readonlyRootFilesystem": True,
        "mountPoints": [
            {"sourceVolume": name, "containerPath": place, "readOnly": False}
            for name, place in _volumes(settings)
            if PurePosixPath(place).is_absolute()
        ],
        "stopTimeout": min(MAX_STOP_SECONDS, stop_seconds),
        "environment": [
            {"name": name, "value": value} for name, value in environment(settings).items()
        ],
        "healthCheck": HEALTH_CHECK,
    }


def _volumes(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield name and place of the volumes that these settings need; without any, ``/tmp``."""
    places: dict[str, str] = {}
    if settings.state_dir:
        places[settings.state_dir] = "state"
    if settings.emf_file:
        places.setdefault(str(PurePosixPath(settings.emf_file).parent), "emf")
    for place, name in (places or {"/tmp": "tmp"}).items():  # noqa: S108  the container's own
        yield name, place


def complete_container(
    container: Container,
    *,
    image: object,
    app: object,
    broker_secret: object,
    log_group: object,
    region: object,
) -> dict[str, object]:
    """Return the container with its inputs, which are references in the form that is written."""
    return {
        **container,
        "environment": [{"name": "EVENT_MONITOR_APP", "value": app}, *container["environment"]],
        "image": image,
        "secrets": [{"name": "EVENT_MONITOR_BROKER", "valueFrom": broker_secret}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": log_group,
                "awslogs-region": region,
                "awslogs-stream-prefix": container["name"],
            },
        },
    }
