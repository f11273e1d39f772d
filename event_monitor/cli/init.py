"""Command: ``event-monitor init``, the files that a platform needs. Asks nobody, imports no app."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import click

from ..errors import SettingsError
from ..settings import Settings
from ..text import printable
from .logs import log_to_stderr
from .options import Choice, Command, given_flags, loglevel, setting_flags
from .output import print_headed, write_files

if TYPE_CHECKING:
    from ..platforms.monitor import Monitor, Package, PlatformFiles

__all__ = ["init"]

_PLATFORMS = ("django", "docker", "kubernetes", "systemd", "ecs")
_VOLUMES = ("docker", "kubernetes", "systemd")
#: Flags that only one platform has a use for.
_KUBERNETES_ONLY = ("image", "role", "persistent")


@click.command(
    cls=Command,
    examples=(
        "event-monitor init django --namespace Shop",
        "event-monitor init docker -A proj --out .",
        "event-monitor init kubernetes -A proj --image shop:1.2 --persistent -o deploy",
        "event-monitor init kubernetes --name shop-monitor --only-queues 'shop*' --namespace Shop",
        "event-monitor init systemd -A proj --history -o deploy",
        "event-monitor init ecs -A proj -o infra",
    ),
    settings=("namespace", "dimensions", "interval", "region", "state_dir", "http", "history"),
)
@click.argument("platform", type=Choice(_PLATFORMS))
@click.option(
    *("-A", "--app"),
    metavar="MODULE",
    allow_from_autoenv=False,
    help="The Celery app, as in celery -A; it is not imported. Without one the monitor knows the "
    "broker only.  [env: EVENT_MONITOR_APP, CELERY_APP]",
)
@click.option(
    *("-o", "--out"),
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write files there instead of printing; lists them.",
)
@click.option("--force", is_flag=True, help="Overwrite files of --out, but no secrets.")
@click.option(
    "--name",
    metavar="NAME",
    help="What everything of it is called, so that several can stand side by side; on ECS the "
    "--prefix.  [default: event-monitor]",
)
@click.option("--image", metavar="NAME", help="Kubernetes: the image.  [default: event-monitor:1]")
@click.option("--role", metavar="ARN", help="Kubernetes: the role of its service account (IRSA).")
@click.option(
    "--persistent", is_flag=True, help="Kubernetes: keep the state on a volume, not with the pod."
)
@setting_flags
@loglevel("WARNING")
@click.pass_context
def init(
    ctx: click.Context,
    /,
    *,
    platform: str,
    app: str | None,
    out: Path | None,
    force: bool,
    name: str | None,
    image: str | None,
    role: str | None,
    persistent: bool,
    **values: Any,
) -> None:
    """Write what a platform needs to run the monitor, and only that.

    PLATFORM is django (lines for settings.py), docker (Dockerfile and compose.yaml), kubernetes
    (manifests), systemd (a unit) or ecs (as `provision ecs` in Terraform). The settings of flags
    and variables are written into the files. What may hold a password is not: you fill in
    event-monitor.env, which only you can read and which is never overwritten. Files that are there
    already, and are different, are refused.
    """
    log_to_stderr(values["loglevel"], values["log_format"])
    given = {"image": image, "role": role, "persistent": persistent}
    if platform != "kubernetes":
        for flag in _KUBERNETES_ONLY:
            if given[flag]:
                raise SettingsError(f"--{flag} is for kubernetes, not for {platform}.")
    if name is not None and platform == "django":
        raise SettingsError("--name is for platforms; Django's monitor is told by its --namespace.")
    if force and out is None:
        raise SettingsError("--force is for --out DIR.")
    # A volume is written for it there, so that what needs a state_dir may be asked for.
    defaults = {"state_dir": f"/var/lib/{name or 'event-monitor'}"} if platform in _VOLUMES else {}
    settings = Settings.load(flags=given_flags(values), defaults=defaults)
    monitor = _monitor(_app_of(ctx, app), settings, name=name, out=out)
    made = _made(platform, monitor, {flag: value for flag, value in given.items() if value})
    if out is None:
        print_headed(made.files)
    else:
        write_files(made.files, out, force=force, command="init")
    for note in made.notes:
        click.echo(f"note: {printable(note)}", err=True)


def _app_of(ctx: click.Context, app: str | None) -> str:
    """Return the app's name; ``celery -A`` hands over the app itself, which does not tell it."""
    if app is None and isinstance(ctx.obj, dict):
        app = ctx.obj["app"]
    elif app is None and ctx.obj is not None:
        raise SettingsError("say -A MODULE once more, after init: the files name the app.")
    return app or ""


def _monitor(app: str, settings: Settings, *, name: str | None, out: Path | None) -> Monitor:
    from ..platforms.monitor import DEFAULT_NAME, Monitor, require_app, require_name

    if app:
        require_app(app)
    if name is not None:
        require_name(name)
    here = Path.cwd()
    return Monitor(
        app=app,
        name=name or DEFAULT_NAME,
        settings=settings,
        project=here,
        out=out or here,
        package=_package(),
    )


def _package() -> Package:
    """Return where this package was installed from, as pip has noted it."""
    from ..platforms.monitor import Package

    try:
        ours = distribution("celery-event-monitor")
        origin = json.loads(ours.read_text("direct_url.json") or "null")
    except (PackageNotFoundError, ValueError):
        return Package()
    if not isinstance(origin, dict):  # it came from an index
        return Package()
    url = urlsplit(str(origin.get("url", "")))
    is_folder = url.scheme == "file" and "dir_info" in origin
    return Package(
        wheel=f"celery_event_monitor-{ours.version}-py3-none-any.whl",
        source=url2pathname(url.path) if is_folder else "",
    )


def _made(platform: str, monitor: Monitor, choices: Mapping[str, Any]) -> PlatformFiles:
    if platform == "ecs":
        return _ecs(monitor)
    if platform == "django":
        from ..platforms.django import django_files

        return django_files(monitor)
    if platform == "docker":
        from ..platforms.docker import docker_files

        return docker_files(monitor)
    if platform == "kubernetes":
        from ..platforms.kubernetes import kubernetes_files

        return kubernetes_files(monitor, **choices)
    from ..platforms.systemd import systemd_files

    return systemd_files(monitor, program=_program())


def _ecs(monitor: Monitor) -> PlatformFiles:
    """Return what `provision ecs` writes."""
    from ..platforms.monitor import DEFAULT_NAME, PlatformFiles
    from ..provision.options import ProvisionOptions, prefix_of
    from ..provision.stack import build_stack
    from .provision import files_of

    is_named = monitor.name != DEFAULT_NAME
    prefix = monitor.name if is_named else prefix_of(monitor.settings.namespace)
    options = ProvisionOptions(app=monitor.app, prefix=prefix)
    stack = build_stack(("ecs",), monitor.settings, options)
    more = "`event-monitor provision ecs --help` has other formats, and more to choose."
    return PlatformFiles(files_of(stack, "terraform"), (*stack.notes, more))


def _program() -> tuple[str, ...]:
    """Return this installation's ``event-monitor`` by its whole path."""
    script = Path(sys.executable).with_name("event-monitor")
    return (str(script),) if script.is_file() else (sys.executable, "-m", "event_monitor")
