"""Command: ``event-monitor status``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import click

from ..clock import SYSTEM_CLOCK
from ..errors import EventMonitorError
from ..text import error_line
from .app import load_app_and_settings
from .options import loglevel, number_of, watching
from .terminal import coloured, width
from .verdict import VerdictCommand

__all__ = ["status"]


_WHOLE_NAMES = 10_000  # columns
_COLOURS = {"OK": "green", "WARNING": "yellow", "CRITICAL": "red", "UNKNOWN": "yellow"}


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
        "event-monitor status -A proj --state-dir /var/lib/monitor --watch",
    ),
    settings=(
        *("queue_length_limits", "queue_age_limits", "queues", "management_url"),
        *("probe_workers", "probe_queues", "probe_seconds", "state_dir", "long_run_seconds"),
        "only_queues",
    ),
    exit_codes={0: "ok", 1: "warning", 2: "critical", 3: "unknown, or a flag or setting is wrong"},
)
@watching
@loglevel("ERROR")
@number_of("--min-workers", most=100_000, default=1, help_text="Critical if fewer workers answer.")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON; null is what is unknown.")
@click.option(
    "--perfdata/--no-perfdata",
    default=None,
    help="Numbers after the first line, as Nagios and Munin read them.  [default: unless on a "
    "terminal]",
)
@click.option(
    "--watch",
    type=click.FloatRange(1, 3_600),
    is_flag=False,
    flag_value=5.0,
    metavar="[SECONDS]",
    help="Show it again and again, until Ctrl-C: five seconds after the last.",
)
@click.pass_context
def status(
    ctx: click.Context,
    /,
    *,
    min_workers: int,
    json_wanted: bool,
    perfdata: bool | None,
    watch: float | None,
    **values: object,
) -> None:
    """Show workers, queues and tasks as they are now.

    The first line and the exit code are those of a Nagios plugin. Critical is a queue at its
    upper limit, by --queue-length-limits or --queue-age-limits, and too few workers that answer; a
    warning is a queue at its lower limit, a task that has been running far too long, a task name
    of which more than a tenth of at least 50 failed in the last ten minutes, and a
    --management-url that is of no use. Unknown are a broker that cannot be asked, workers that
    cannot (with worker_enable_remote_control off, with answers in pickle, or on SQS where no
    monitor of send_events_over_sqs beside it has left what it hears), and a mistake in flags or
    settings. Too long is three times as long as 99 % of its name took in any
    hour of the last day, or --long-run-seconds where no history in state_dir knows that.

    Where a monitor keeps a history in state_dir, it shows what failed in the last ten minutes, and
    how much succeeded. Names are cut to fit a terminal, and whole where there is none.
    """
    app, settings = load_app_and_settings(ctx, values)
    from ..status.ask import take_report
    from ..status.perfdata import perfdata as numbers_of
    from ..status.recent import recent_in
    from ..status.render import as_json, as_text
    from ..status.report import judge

    on_terminal = sys.stdout.isatty()
    with_numbers = not on_terminal if perfdata is None else perfdata

    def look() -> int:
        report = take_report(app, settings)
        report = replace(report, recent=recent_in(settings, now=report.at))
        verdict = judge(report, settings, min_workers=min_workers)
        if json_wanted:
            click.echo(json.dumps(as_json(report, verdict), indent=None if watch else 2))
            return int(verdict.level)
        numbers = numbers_of(report, settings, min_workers=min_workers) if with_numbers else ""
        columns = width(unless_known=80, most=None) if on_terminal else _WHOLE_NAMES
        text = as_text(report, verdict, width=columns, perfdata=numbers)
        if watch and on_terminal:
            click.clear()
        _print(text, colour=_COLOURS[verdict.level.name])
        return int(verdict.level)

    code = look()
    try:
        while watch:
            SYSTEM_CLOCK.sleep(watch)
            code = look()
    except KeyboardInterrupt:
        click.echo()
    ctx.exit(code)


def _print(text: str, *, colour: str) -> None:
    """Print it; on a terminal with the verdict in its colour."""
    first, colon, rest = text.partition(":")
    shown = coloured(first, colour, bold=True)
    click.echo(f"{shown}{colon}{rest}")
