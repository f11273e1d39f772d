"""Task definition: the container that runs the monitor on ECS. Pure.

What is not known here, such as the image, is an input: a variable of Terraform, a parameter of
CloudFormation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import ceil
from pathlib import PurePosixPath
from typing import Any, TypedDict

from ..errors import SettingsError
from ..settings import Settings
from ..settings import options as setting_options
from ..settings.parsers import text_of
from .inputs import MANAGEMENT_INPUT, MONITOR_INPUTS, STATE_INPUTS, USER, Input
from .options import ProvisionOptions

__all__ = [
    "HEALTH_CHECK",
    "MAX_PERCENT",
    "MAX_STOP_SECONDS",
    "MIN_HEALTHY_PERCENT",
    "OPERATING_SYSTEM",
    "REBALANCING",
    "STATE_VOLUME",
    "Container",
    "Variables",
    "complete_container",
    "container_definition",
    "container_notes",
    "environment",
    "has_state",
    "monitor_inputs",
    "monitor_service",
    "monitor_task",
    "watched_queues",
]

OPERATING_SYSTEM = "LINUX"
# The new task stands by until the old one has sent its last window.
MIN_HEALTHY_PERCENT, MAX_PERCENT = 100, 200
REBALANCING = "DISABLED"  # it would start a second task beside the first, and is on by default
#: Environment variables: of each its name, and its value or where that comes from.
Variables = tuple[tuple[str, str], ...]
#: Where the state is kept, if the settings have a ``state_dir``.
STATE_VOLUME = "state"
MAX_STOP_SECONDS = 120  # Fargate's limit
_STOP_MARGIN_SECONDS = 10  # to disconnect and to exit, after the drain
_SECRET_SETTINGS = frozenset({"management_url"})  # may hold a password: it comes as a secret
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


class Secret(TypedDict):
    """A variable that comes from a secret; ``valueFrom`` is the name of the input with its ARN."""

    name: str
    valueFrom: str


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
    secrets: list[Secret]
    healthCheck: HealthCheck


#: ECS ignores a Dockerfile's HEALTHCHECK, so the check stands in the task definition.
HEALTH_CHECK: HealthCheck = {
    "command": ["CMD", "event-monitor", "healthcheck", "--monitor"],
    "interval": 30,
    "timeout": 10,
    "retries": 3,
    "startPeriod": 60,
}


def monitor_inputs(container: Container) -> tuple[Input, ...]:
    """Return what has to be said to run the container."""
    secrets = {secret["valueFrom"] for secret in container["secrets"]}
    return (
        *MONITOR_INPUTS,
        *((MANAGEMENT_INPUT,) if MANAGEMENT_INPUT.name in secrets else ()),
        *(STATE_INPUTS if has_state(container) else ()),
    )


def has_state(container: Container) -> bool:
    """Return whether it keeps a state on a volume."""
    return any(mount["sourceVolume"] == STATE_VOLUME for mount in container["mountPoints"])


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that give a monitor these settings, without defaults and secrets.

    Raises ``SettingsError`` where ``http_auth`` may be the password itself.
    """
    scheme, _, where = settings.http_auth.partition(":")
    if scheme in ("basic", "bearer") and not where.startswith(("/", "env:")):
        raise SettingsError(
            "http_auth is not shown, as it may hold a password: to be written down it must name a "
            f"file by its whole path, or a variable, as in {scheme}:env:NAME."
        )
    variables: dict[str, str] = {}
    for option in setting_options():
        value = getattr(settings, option.name)
        if value != option.default and option.name not in _SECRET_SETTINGS | _SET_BY_ECS:
            variables[option.environ] = text_of(value) or "none"  # an empty variable means: not set
    return variables


def watched_queues(settings: Settings, options: ProvisionOptions) -> tuple[str, ...]:
    """Return the queues of the settings and, after them, those that the options name.

    The monitor forgets a queue that it knows from workers alone; without its data nothing wakes a
    service from zero, and no alarm on it goes off.
    """
    scaled_by = (options.scale_queue, *dict(options.services))
    named = (*scaled_by, *(queue.name for queue in options.queues))
    # A list in a variable cannot hold the others.
    writable = (name for name in named if name and name == name.strip() and "," not in name)
    return tuple(dict.fromkeys((*settings.queues, *writable)))


def container_notes(settings: Settings) -> tuple[str, ...]:
    """Return a sentence for each thing the container needs that cannot be written in it."""
    notes = []
    for name, place in _volumes(settings):
        if not PurePosixPath(place).is_absolute():
            notes.append(f"{place} is on the read-only root file system: give an absolute path.")
        elif name != "tmp":  # the monitor can do without temporary files
            notes.append(
                f"{place} is a volume that user {USER} has to own: in the image, make it with "
                f"`install -d -o {USER} -g {USER} {place}` and declare it as a VOLUME."
            )
    if settings.state_dir:
        notes.append(
            f"state_dir {settings.state_dir} is lost with the task: mount a volume that outlives "
            "it, such as one of EFS, to keep it across deployments (monitor_state_file_system)."
        )
    return tuple(notes)


def container_definition(settings: Settings, options: ProvisionOptions) -> Container:
    """Return the container without its inputs; a stop waits for the drain, if ECS allows it.

    It can write to its volumes only.
    """
    stop_seconds = ceil(settings.drain_seconds) + _STOP_MARGIN_SECONDS
    settings = replace(settings, queues=watched_queues(settings, options))
    return {
        "name": f"{options.prefix}-monitor",
        "essential": True,
        "command": ["event-monitor", "run"],
        "user": f"{USER}:{USER}",
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
        "secrets": list(_secrets(settings)),
        "healthCheck": HEALTH_CHECK,
    }


def _secrets(settings: Settings) -> Iterator[Secret]:
    yield {"name": "EVENT_MONITOR_BROKER", "valueFrom": "monitor_broker_secret"}
    if settings.management_url:
        yield {"name": "EVENT_MONITOR_MANAGEMENT_URL", "valueFrom": MANAGEMENT_INPUT.name}


def _volumes(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield name and place of the volumes that these settings need; without any, ``/tmp``."""
    places: dict[str, str] = {}
    if settings.state_dir:
        places[settings.state_dir] = STATE_VOLUME
    if settings.emf_file:
        places.setdefault(str(PurePosixPath(settings.emf_file).parent), "emf")
    for place, name in (places or {"/tmp": "tmp"}).items():  # noqa: S108  the container's own
        yield name, place


def complete_container(
    container: Container, value: Callable[[str], object], *, region: object
) -> dict[str, Any]:
    """Return the container with its inputs; ``value`` gives that of an input's name."""
    return {
        **container,
        "environment": [
            {"name": "EVENT_MONITOR_APP", "value": value("monitor_app")},
            *container["environment"],
        ],
        "image": value("monitor_image"),
        "secrets": [
            {"name": secret["name"], "valueFrom": value(secret["valueFrom"])}
            for secret in container["secrets"]
        ],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": value("monitor_log_group"),
                "awslogs-region": region,
                "awslogs-stream-prefix": container["name"],
            },
        },
    }


def monitor_task(
    container: Container,
    value: Callable[[str], object],
    *,
    role: object,
    region: object,
    environment: Variables,
    secrets: Variables,
) -> dict[str, object]:
    """Return the parameters of ECS's RegisterTaskDefinition.

    ``environment`` and ``secrets`` are variables of the app.
    """
    complete = complete_container(container, value, region=region)
    complete["environment"] += [{"name": name, "value": text} for name, text in environment]
    complete["secrets"] += [{"name": name, "valueFrom": arn} for name, arn in secrets]
    return {
        "family": container["name"],
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": value("monitor_cpu"),
        "memory": value("monitor_memory"),
        "runtimePlatform": {
            "operatingSystemFamily": OPERATING_SYSTEM,
            "cpuArchitecture": value("monitor_architecture"),
        },
        "executionRoleArn": value("monitor_execution_role"),
        "taskRoleArn": role,
        "volumes": [{"name": mount["sourceVolume"]} for mount in container["mountPoints"]],
        "containerDefinitions": [complete],
    }


def monitor_service(
    container: Container, value: Callable[[str], object], *, task: object
) -> dict[str, object]:
    """Return the parameters of ECS's CreateService."""
    return {
        "serviceName": container["name"],
        "cluster": value("monitor_cluster"),
        "taskDefinition": task,
        "launchType": "FARGATE",
        "desiredCount": 1,
        "deploymentConfiguration": {
            "minimumHealthyPercent": MIN_HEALTHY_PERCENT,
            "maximumPercent": MAX_PERCENT,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        "availabilityZoneRebalancing": REBALANCING,
        "networkConfiguration": {
            "awsvpcConfiguration": {
                "subnets": value("monitor_subnets"),
                "securityGroups": value("monitor_security_groups"),
            }
        },
    }
