"""Kubernetes: one pod that runs the monitor, not as root, with its secrets from a Secret. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from ..errors import SettingsError
from ..provision.inputs import USER
from ..provision.task_definition import HEALTH_CHECK as ECS_CHECK
from ..settings import Settings
from ..text import printable
from .container import container_notes, exec_form, quoted, require_mountable, stop_seconds
from .monitor import (
    HEALTH_CHECK,
    RUN,
    Monitor,
    PlatformFiles,
    secrets_file,
    template,
    with_state,
)

__all__ = ["DEFAULT_IMAGE", "kubernetes_files"]

DEFAULT_IMAGE = "event-monitor:1"

# By whether there may be one pod only: where its state is kept by one at a time.
_PODS = {
    False: "One pod publishes, and the other takes over when it goes.",
    True: "One pod, and no standby: the volume with its state_dir is for one pod at a time.",
}
_DEPLOYMENT = {
    False: "  replicas: 2\n  strategy:\n    type: RollingUpdate\n"
    "    rollingUpdate:\n      maxUnavailable: 0",
    True: "  replicas: 1\n  strategy:\n    type: Recreate",
}
_IMAGE = re.compile(r"[a-z0-9][\w.:/@-]{0,254}", re.ASCII)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
_SPARE_MEGABYTES = 64  # besides spool and history: SQLite's journal, the checkpoint


def kubernetes_files(
    monitor: Monitor, *, image: str = DEFAULT_IMAGE, role: str = "", persistent: bool = False
) -> PlatformFiles:
    """Return the manifests, and the file that the Secret is made from.

    ``role`` is the ARN of the role that its service account takes (IRSA). ``persistent`` keeps the
    state on a volume that outlives the pod, which a ``durable_queue`` needs. Raises
    ``SettingsError`` for what no pod can have.
    """
    monitor = with_state(monitor)
    persistent = persistent or bool(monitor.settings.durable_queue)
    require_mountable(monitor.settings)
    mount = monitor.settings.state_dir
    # Kubernetes gives a volume to root, and lets all of its group write: a folder in it is ours.
    monitor = replace(monitor, settings=replace(monitor.settings, state_dir=f"{mount}/state"))
    name, file = quoted(monitor.name), f"{monitor.name}.yaml"
    _require(_IMAGE, "--image", image, such_as="registry.example.com/proj:1.2")
    if role:
        _require(_ROLE, "--role", role, such_as="arn:aws:iam::123456789012:role/monitor")
    megabytes = _megabytes(monitor.settings)
    is_alone = persistent or monitor.settings.leader == "off"
    manifests = template(
        "event-monitor.yaml",
        name=name,
        pods=_PODS[is_alone],
        deployment=_DEPLOYMENT[is_alone],
        annotations=_annotations(role),
        claim=template("claim.yaml", name=name, megabytes=megabytes) if persistent else "",
        stop=stop_seconds(monitor.settings),
        user=USER,
        image=quoted(image),
        run=exec_form(RUN),
        variables=_env(monitor.variables),
        ports=_ports(monitor.port),
        health_check=exec_form(HEALTH_CHECK),
        readiness=_readiness(monitor),
        interval=ECS_CHECK["interval"],
        timeout=ECS_CHECK["timeout"],
        start=ECS_CHECK["startPeriod"],
        retries=ECS_CHECK["retries"],
        mount=quoted(mount),
        state=_volume(name, megabytes, persistent=persistent),
    )
    return PlatformFiles(
        {file: manifests, monitor.secrets_file: secrets_file(monitor)},
        (
            *container_notes(monitor),
            *_notes(image=image, role=role, persistent=persistent),
            f"fill in {monitor.secrets_file}, then: "
            f"kubectl create secret generic {monitor.name} --from-env-file={monitor.secrets_file} "
            f"&& kubectl apply -f {file}",
        ),
    )


def _require(pattern: re.Pattern[str], flag: str, value: str, *, such_as: str) -> None:
    if not pattern.fullmatch(value):
        raise SettingsError(f"{flag} is {printable(value)!r}; it is like {such_as}.")


def _notes(*, image: str, role: str, persistent: bool) -> list[str]:
    notes = []
    if image == DEFAULT_IMAGE:
        notes.append(
            f"{image} has to be an image with the app and celery-event-monitor; --image names "
            "another, and `event-monitor init docker` writes a Dockerfile."
        )
    if not role:
        notes.append("without --role ARN (IRSA) the pod needs other credentials of AWS.")
    else:
        notes.append(f"{role} needs what `event-monitor provision iam` allows.")
    if not persistent:
        notes.append(
            "what could not be sent yet, and a history, are lost with the pod; --persistent keeps "
            "them on a volume."
        )
    return notes


def _annotations(role: str) -> str:
    if not role:
        return "  # For IRSA: annotations, with eks.amazonaws.com/role-arn."
    return f"  annotations:\n    eks.amazonaws.com/role-arn: {quoted(role)}"


def _env(variables: dict[str, str]) -> str:
    """Return the variables; a ``$`` is doubled, or Kubernetes would expand ``$(NAME)``."""
    return "\n".join(
        f"            - name: {name}\n              value: {quoted(value.replace('$', '$$'))}"
        for name, value in variables.items()
    )


def _ports(port: int | None) -> str:
    if port is None:
        return ""
    return f"          ports:\n            - name: http\n              containerPort: {port}\n"


def _readiness(monitor: Monitor) -> str:
    """Return the probe: over HTTP where a kubelet can reach it, else by the command."""
    if monitor.port is None:
        return f"            exec:\n              command: {exec_form(HEALTH_CHECK)}"
    path = quoted(f"{monitor.settings.http_prefix}/health")
    return f"            httpGet:\n              path: {path}\n              port: http"


def _volume(name: str, megabytes: int, *, persistent: bool) -> str:
    if persistent:
        return f"          persistentVolumeClaim:\n            claimName: {name}"
    return f"          emptyDir:\n            sizeLimit: {megabytes}Mi"


def _megabytes(settings: Settings) -> int:
    """Return how much spool and history may need."""
    history = settings.history_megabytes if settings.history else 0
    return settings.spool_megabytes + history + _SPARE_MEGABYTES
