"""Command: ``event-monitor status``."""

from __future__ import annotations

import json
import shutil
from typing import Any

import click

from ..errors import EventMonitorError
from .loading import load
from .options import loglevel, number_of, watching
from .verdict import VerdictCommand

__all__ = ["status"]


_UNKNOWN = 3


class _StatusCommand(VerdictCommand):
    code_of_mistakes = _UNKNOWN

    def tell(self, error: EventMonitorError) -> None:
        """Nagios shows the first line of stdout."""
        click.echo(f"UNKNOWN: {error}")


@click.command(
    cls=_StatusCommand,
    examples=(
        "event-monitor status -A proj",
        "event-monitor status -A proj --queue-length-limits '*=100:1000' --min-workers 2",
        "event-monitor status -b redis://localhost:6379/0 --json",
    ),
)
@watching
@loglevel("ERROR")
@number_of("--min-workers", most=100_000, default=1, help_text="Critical if fewer workers answer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; null is what is not known.")
@click.pass_context
def status(ctx: click.Context, /, **values: Any) -> None:
    """Show workers, queues and tasks as they are now.

    The first line and the exit code are those of a Nagios plugin, unlike the other commands':
    0 ok, 1 warning, 2 critical, 3 unknown. Critical is a queue at its upper limit, by
    --queue-length-limits or --queue-age-limits, and too few workers that answer; a warning is a
    queue at its lower limit; unknown is a broker that cannot be asked, and a mistake in flags or
    settings.
    """
    app, settings, _ = load(ctx, values)
    from ..status.ask import take_report
    from ..status.report import as_json, as_text

    report, least = take_report(app, settings), values["min_workers"]
    if values["as_json"]:
        click.echo(json.dumps(as_json(report, settings, min_workers=least), indent=2))
    else:
        width = shutil.get_terminal_size((80, 24)).columns
        click.echo(as_text(report, settings, min_workers=least, width=max(80, width)))
    ctx.exit(report.level(settings, min_workers=least))
