"""Making: settings that are hard to write into files, and readers of the files' commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from event_monitor.cli import main
from event_monitor.platforms.monitor import Monitor
from event_monitor.settings import Settings

__all__ = ["HARD", "SECRETS", "monitor", "require_accepted", "without_secrets"]

#: What has a meaning of its own in YAML, Compose, Kubernetes, systemd, Python and shells.
HARD = Settings(
    namespace="Shop: #1",
    dimensions=(("Environment", "p\"r'o\\d % %h $HOME ${x} $(y) {{z}}"), ("Ort", "no")),
    interval=30.0,
    region="eu-west-1",
    queues=("celery", "ä ö", "- x"),
    queue_length_limits=(("*", (10.0, 100.0)),),
    by_exception=True,
    history=True,
    http=":9808",
    http_auth="basic:env:PAGE_PASSWORD",
    http_prefix="/celery",
    management_url="http://guest:QXYZ@mq:15672",
    drain_seconds=45.0,
)
#: The names of the variables that hold what is not written.
SECRETS = ["EVENT_MONITOR_BROKER", "EVENT_MONITOR_MANAGEMENT_URL", "PAGE_PASSWORD"]


def monitor(
    settings: Settings = HARD,
    *,
    app: str = "proj.celery:app",
    name: str = "event-monitor",
    project: Path = Path("/srv/shop"),
) -> Monitor:
    """Return the monitor of a project in that folder, which need not exist."""
    return Monitor(app=app, name=name, settings=settings, project=project, out=project)


def without_secrets(settings: Settings, *, state_dir: str) -> Settings:
    """Return the settings that a platform's file has to give back."""
    return replace(settings, management_url="", state_dir=state_dir)


def require_accepted(command: Sequence[str]) -> None:
    """Let our own command line parse the command, which raises for what it does not take."""
    assert Path(command[0]).name == "event-monitor"
    context = click.Context(main)
    name, chosen, arguments = main.resolve_command(context, list(command[1:]))
    assert chosen is not None
    chosen.make_context(name, arguments, parent=context)
