"""Command: ``event-monitor metrics``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from .options import Command, formats
from .terminal import width

__all__ = ["metrics"]


@click.command(
    cls=Command,
    examples=("event-monitor metrics", "event-monitor metrics --format json"),
)
@formats("table", "markdown", "json")
def metrics(form: str) -> None:
    """List every metric, with unit, dimensions and meaning."""
    from ..catalog import CATALOG
    from .documentation import chapter, metrics_text

    if form == "json":
        click.echo(json.dumps([asdict(spec) for spec in CATALOG], indent=2))
    elif form == "markdown":
        click.echo(chapter("Metrics"))
    else:
        click.echo(metrics_text(width=width()))
