"""Command: ``event-monitor settings``."""

from __future__ import annotations

import click

from .app import load_settings
from .options import Command, formats, loglevel, watching
from .terminal import width

__all__ = ["show_settings"]


@click.command(
    cls=Command,
    name="settings",
    examples=(
        "event-monitor settings -A proj",
        "EVENT_MONITOR_INTERVAL=30 event-monitor settings",
    ),
    settings=None,
)
@watching
@loglevel("WARNING")
@formats("table", "markdown")
@click.pass_context
def show_settings(ctx: click.Context, /, *, form: str, **values: object) -> None:
    """Show every setting, its value and where that came from."""
    settings, sources = load_settings(ctx, values)
    from .documentation import chapter, settings_text

    if form == "markdown":
        click.echo(chapter("Settings"))
    else:
        click.echo(settings_text(settings, sources, width=width()))
