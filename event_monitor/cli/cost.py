"""Command: ``event-monitor cost``."""

from __future__ import annotations

from typing import Any

import click

from .loading import load
from .options import Command, loglevel, number_of, watching

__all__ = ["cost"]


@click.command(
    cls=Command,
    examples=(
        "event-monitor cost --tasks 40 --workers 10",
        "event-monitor cost -A proj --by-worker all --interval 10",
    ),
)
@number_of("--tasks", most=100_000, default=40, help_text="Task names that get their own series.")
@number_of("--workers", most=100_000, default=10, help_text="Workers.")
@number_of("--queues-watched", most=10_000, default=3, help_text="Queues.")
@number_of("--exceptions", most=10_000, default=10, help_text="Classes, for --by-exception.")
@number_of("--custom-events", most=1_000, default=0, help_text="Event types of the app's own.")
@watching
@loglevel("WARNING")
@click.pass_context
def cost(ctx: click.Context, /, **values: Any) -> None:
    """Estimate the monthly CloudWatch bill. Asks nobody; needs no app."""
    _, settings, _ = load(ctx, values, app_needed=False)
    from ..metrics.cost import Cluster, bill

    sizes = {name: values[name] for name in ("tasks", "workers", "exceptions", "custom_events")}
    click.echo(bill(settings, Cluster(**sizes, queues=values["queues_watched"])))
