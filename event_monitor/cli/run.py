"""Command: ``event-monitor run``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import click

from .app import load_app_and_settings
from .options import Command, loglevel, watching

__all__ = ["run"]


@click.command(
    cls=Command,
    examples=(
        "event-monitor run -A proj",
        "event-monitor run -b redis://localhost:6379/0 --dry-run --interval 10",
        "event-monitor run -A proj --namespace Shop --dimensions Environment=prod",
        "event-monitor run --config celeryconfig.py",
        "celery -A proj event-monitor run --enable-events",
    ),
)
@watching
@loglevel("INFO")
@click.option("--dry-run", is_flag=True, help="Print the metrics instead of sending them.")
@click.pass_context
def run(ctx: click.Context, /, *, dry_run: bool, **values: object) -> None:
    """Count events and publish metrics until stopped."""
    if dry_run:
        values["sink"] = "console"
    app, settings = load_app_and_settings(ctx, values)
    from ..service import Service

    ctx.exit(Service(settings, app).run())
