"""Command: ``event-monitor status``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import json

import click

from ..errors import EventMonitorError
from ..text import error_line
from .app import load_app_and_settings
from .options import loglevel, number_of, watching
from .terminal import width
from .verdict import VerdictCommand

__all__ = ["status"]


class _StatusCommand(VerdictCommand):
    code_of_mistakes = 3  # unknown, to Nagios; 2 is critical

    def report(self, error: EventMonitorError) -> None:
        """Print the mistake as the first line of stdout, which Nagios shows."""
        click.echo(f"UNKNOWN: {error_line(error)}")


@click.command(
    cls=_StatusCommand,
    examples=(
        "event-monitor status -A proj",
        "event-monitor status -A proj --queue-length-limits '*=100:1000' --min-workers 2",
        "event-monitor status -b redis://localhost:6379/0 --json",
    ),
    settings=(
        *("queue_length_limits", "queue_age_limits", "queues", "management_url"),
        *("probe_workers", "probe_queues", "probe_seconds", "state_dir"),
    ),
    exit_codes={0: "ok", 1: "warning", 2: "critical", 3: "unknown, or a flag or setting is wrong"},
)
@watching
@loglevel("ERROR")
@number_of("--min-workers", most=100_000, default=1, help_text="Critical if fewer workers answer.")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON; null is what is unknown.")
@click.pass_context
def status(ctx: click.Context, /, *, min_workers: int, json_wanted: bool, **values: object) -> None:
    """Show workers, queues and tasks as they are now.

    The first line and the exit code are those of a Nagios plugin. Critical is a queue at its
    upper limit, by --queue-length-limits or --queue-age-limits, and too few workers that answer; a
    warning is a queue at its lower limit. Unknown are a broker that cannot be asked, workers that
    cannot (on SQS, with worker_enable_remote_control off, or with answers in pickle), and a
    mistake in flags or settings.
    """
    app, settings = load_app_and_settings(ctx, values)
    from ..status.ask import take_report
    from ..status.render import as_json, as_text
    from ..status.report import judge

    report = take_report(app, settings)
    verdict = judge(report, settings, min_workers=min_workers)
    if json_wanted:
        click.echo(json.dumps(as_json(report, verdict), indent=2))
    else:
        click.echo(as_text(report, verdict, width=width(unless_known=80, most=None)))
    ctx.exit(int(verdict.level))
