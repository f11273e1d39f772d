"""Command line: the door. Parses, loads the app and the settings, and hands over.

``main`` is the console script; ``celery_command`` is ``celery -A proj event-monitor``. Celery and
boto3 are imported only by the commands that need them, since every ``celery`` command loads this.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import Any

import click

from .. import __version__
from ..errors import EXIT_CHECK_FAILED, EXIT_OK, EventMonitorError, UnavailableError
from .loading import load
from .options import Command, formats, loglevel, number_of, watching
from .provision import provision
from .status import healthcheck, status

__all__ = ["celery_command", "main"]

_HELP = """Celery events in, CloudWatch metrics out: one process that counts every event exactly.

\b
Examples:
  event-monitor demo
  event-monitor check -A proj
  event-monitor run -A proj
  celery -A proj event-monitor run --interval 30

\b
Exit codes:
  0   stopped as asked, everything sent
  1   check or demo found something wrong
  2   a setting or flag is wrong
  3   the app, the region or another thing needed at start cannot be had
  4   stopped as asked, but some metrics were not sent
  70  a thread of the monitor died

`status` ends like a Nagios plugin, `healthcheck` with 0 or 1: see their --help.
"""


class Commands(click.Group):
    """A group that tells our errors in one line and ends with their exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except EventMonitorError as error:
            click.echo(f"event-monitor: {error}", err=True)
            ctx.exit(error.exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order one needs them, not of the alphabet."""
        del ctx
        return list(self.commands)


def _width() -> int:
    return min(120, max(80, shutil.get_terminal_size((100, 24)).columns))


@click.command(
    cls=Command,
    examples=(
        "event-monitor run -A proj",
        "event-monitor run -b redis://localhost:6379/0 --dry-run --interval 10",
        "event-monitor run -A proj --namespace Shop --dimensions Environment=prod",
        "celery -A proj event-monitor run --enable-events",
    ),
)
@watching
@loglevel("INFO")
@click.option("--dry-run", is_flag=True, help="Print the metrics instead of sending them.")
@click.pass_context
def run(ctx: click.Context, /, **values: Any) -> None:
    """Count events and publish metrics until told to stop."""
    if values["dry_run"]:
        values["sink"] = "console"
    app, settings, _ = load(ctx, values)
    from ..service import Service

    ctx.exit(Service(settings, app).run())


@click.command(
    cls=Command,
    examples=(
        "event-monitor check -A proj",
        "event-monitor check -A proj --enable-events",
        "event-monitor check -b amqp://guest@localhost// --sink console --format json",
    ),
)
@watching
@loglevel("ERROR")
@click.option(
    "--listen",
    type=click.FloatRange(0, 3_600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to listen for events of the workers.",
)
@formats("text", "json")
@click.pass_context
def check(ctx: click.Context, /, **values: Any) -> None:
    """Prove that events arrive and CloudWatch takes data.

    It sends one event to itself and puts one datum, MonitorCheck. With --enable-events it also
    turns task events on in every worker. Exits with 1 if something failed.
    """
    app, settings, _ = load(ctx, values)
    from ..check import check as examine
    from ..check import json_report, paragraph, passed, summary

    findings = []
    for finding in examine(app, settings, listen_seconds=values["listen"]):
        findings.append(finding)
        if values["form"] == "text":
            colour = {"failed": "red", "warning": "yellow"}.get(finding.status)
            click.secho(paragraph(finding, width=_width()), fg=colour)
    click.echo(json_report(findings) if values["form"] == "json" else f"\n{summary(findings)}")
    ctx.exit(EXIT_OK if passed(findings) else EXIT_CHECK_FAILED)


@click.command(
    cls=Command,
    examples=("event-monitor metrics", "event-monitor metrics --format json"),
)
@formats("table", "markdown", "json")
def metrics(form: str) -> None:
    """List every metric, with unit, dimensions and meaning."""
    from ..catalog import CATALOG
    from .documentation import metrics_markdown, metrics_text

    if form == "json":
        click.echo(json.dumps([asdict(one) for one in CATALOG], indent=2))
    else:
        click.echo(metrics_markdown() if form == "markdown" else metrics_text(_width()))


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
    click.echo(settings_markdown() if markdown else settings_text(settings, sources, _width()))


@click.command(
    cls=Command,
    examples=("event-monitor demo", "event-monitor demo --broker redis://localhost:6379/15"),
)
@click.option("-b", "--broker", metavar="URL", help="Use this broker instead of an embedded one.")
@click.pass_context
def demo(ctx: click.Context, /, broker: str | None) -> None:
    """Watch real workers being counted, on this machine.

    Everything it starts is its own and gone afterwards. No AWS account is touched.
    """
    try:
        from ..demo import run_demo

        code = run_demo(broker=broker)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the demo needs {error.name}: pip install 'celery-event-monitor[demo]'."
        ) from error
    ctx.exit(code)


@click.group(cls=Commands, name="event-monitor", help=_HELP)
@click.version_option(__version__, prog_name="event-monitor", message="%(prog)s %(version)s")
@click.option(
    *("-A", "--app"),
    metavar="MODULE",
    envvar=["EVENT_MONITOR_APP", "CELERY_APP"],
    show_envvar=True,
    help="The Celery app, as in celery -A.",
)
@click.option(
    *("-b", "--broker"),
    metavar="URL",
    envvar="EVENT_MONITOR_BROKER",
    show_envvar=True,
    help="URL of the broker; wins over the app's.",
)
@click.pass_context
def main(ctx: click.Context, app: str | None, broker: str | None) -> None:
    """Keep what the commands may ask for."""
    ctx.obj = {"app": app, "broker": broker}


@click.group(cls=Commands, name="event-monitor", help=_HELP)
def celery_command() -> None:
    """Let Celery's own command line say which app."""


for _command in (run, check, status, healthcheck, provision, metrics, cost, show_settings, demo):
    main.add_command(_command)
    celery_command.add_command(_command)
