"""Command: ``event-monitor settings``."""

from __future__ import annotations

from typing import Any

import click

from .loading import load
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
)
@watching
@loglevel("WARNING")
@formats("table", "markdown")
@click.pass_context
def show_settings(ctx: click.Context, /, **values: Any) -> None:
    """Show every setting, its value and where that came from."""
    _, settings, sources = load(ctx, values, app_needed=False)
    from .documentation import settings_markdown, settings_text

    markdown = values["form"] == "markdown"
    click.echo(settings_markdown() if markdown else settings_text(settings, sources, width()))
