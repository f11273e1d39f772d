"""Command: ``event-monitor cost``."""

from __future__ import annotations

import click

from .app import load_settings
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
def cost(
    ctx: click.Context,
    /,
    *,
    tasks: int,
    workers: int,
    queues_watched: int,
    exceptions: int,
    custom_events: int,
    **values: object,
) -> None:
    """Estimate the monthly CloudWatch bill. Asks nobody; needs no app."""
    settings, _ = load_settings(ctx, values)
    from ..metrics.cost import Cluster, bill

    cluster = Cluster(
        tasks=tasks,
        workers=workers,
        queues=queues_watched,
        exceptions=exceptions,
        custom_events=custom_events,
    )
    click.echo(bill(settings, cluster))
