"""Commands: ``status`` and ``healthcheck``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any, ClassVar

import click

from ..errors import EventMonitorError
from ..settings import Settings
from .loading import load
from .logs import log_to_stderr
from .options import Command, given_flags, loglevel, number_of, watching

__all__ = ["healthcheck", "status"]

_UNKNOWN = 3
_UNHEALTHY = 1


class _Check(Command):
    """A command whose exit code is read by a machine: its own mistakes have one that fits."""

    code_of_mistakes: ClassVar[int]

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Parse; a wrong flag is no verdict on what was to be checked."""
        try:
            return super().make_context(*args, **options)
        except click.UsageError as error:
            error.exit_code = self.code_of_mistakes  # type: ignore[misc]  # read there by click
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run; so is a wrong setting, or an app that cannot be loaded."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.exit_code = self.code_of_mistakes  # type: ignore[misc]  # read there by click
            raise
        except EventMonitorError as error:
            self.tell(error)
            ctx.exit(self.code_of_mistakes)

    def tell(self, error: EventMonitorError) -> None:
        """Say it where it is looked for."""
        click.echo(f"event-monitor: {error}", err=True)


class _StatusCommand(_Check):
    code_of_mistakes = _UNKNOWN

    def tell(self, error: EventMonitorError) -> None:
        """Nagios shows the first line of stdout."""
        click.echo(f"UNKNOWN: {error}")


class _HealthCommand(_Check):
    code_of_mistakes = _UNHEALTHY  # Docker reserves 2


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
    from ..status.report import as_json, as_text
    from ..status.survey import take_report

    report, least = take_report(app, settings), values["min_workers"]
    if values["as_json"]:
        click.echo(json.dumps(as_json(report, settings, min_workers=least), indent=2))
    else:
        width = shutil.get_terminal_size((80, 24)).columns
        click.echo(as_text(report, settings, min_workers=least, width=max(80, width)))
    ctx.exit(report.level(settings, min_workers=least))


@click.command(
    cls=_HealthCommand,
    examples=(
        "event-monitor healthcheck --monitor",
        "event-monitor healthcheck -A proj --worker celery",
        "event-monitor healthcheck -b redis://localhost:6379/0 --worker w1@%h --ignore-broker",
    ),
)
@click.option(
    "--worker",
    metavar="NAME",
    help="Whether that worker answers and is not stalled. Without @host, it is on this host.",
)
@click.option("--monitor", is_flag=True, help="Whether the monitor in this container shoots.")
@click.option(
    "--ignore-broker",
    is_flag=True,
    help="A worker is healthy while the broker cannot be reached: restarting it cures nothing.",
)
@watching
@loglevel("WARNING")
@click.pass_context
def healthcheck(ctx: click.Context, /, **values: Any) -> None:
    """Exit with 0 if a worker or the monitor is healthy, else 1.

    Meant for the health check of its container. --monitor looks for the file that the monitor
    writes after every shot, in state_dir or among the temporary files, and takes no longer than
    a Python start; app.conf is not read, so give a state_dir as a flag or a variable. --worker
    asks the worker, and remembers in a file beside it since when it has been idle while work
    waits; with -b instead of -A it need not import your project.
    """
    if bool(values["worker"]) == values["monitor"]:
        raise click.UsageError("say either --worker NAME or --monitor.", ctx)
    from ..status.health import examine_monitor, examine_worker, nodename

    if values["monitor"]:
        log_to_stderr(values["loglevel"])
        settings = Settings.load(flags=given_flags(values))
        problem = examine_monitor(settings, now=time.time())
    else:
        app, settings, _ = load(ctx, values)
        try:
            problem = examine_worker(app, settings, nodename(values["worker"]))
        except ConnectionError as error:
            click.echo(f"{str(error).rstrip('.')}.", err=True)
            ctx.exit(0 if values["ignore_broker"] else _UNHEALTHY)
    click.echo(problem or "healthy", err=bool(problem))
    ctx.exit(_UNHEALTHY if problem else 0)
