"""Command line: the two groups of commands, one for the console script, one for Celery.

``main`` is the console script; ``celery_command`` is ``celery -A proj event-monitor``. Celery and
boto3 are imported only inside the commands that need them: every ``celery`` command loads this.
"""

from __future__ import annotations

import click

from .. import __version__
from ..errors import EventMonitorError
from .check import check
from .cost import cost
from .demo import demo
from .healthcheck import healthcheck
from .metrics import metrics
from .provision import provision
from .run import run
from .settings import show_settings
from .status import status

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

`status` ends like a Nagios plugin, `healthcheck` with 0 or 1, and 3 if --strict: see their --help.
"""


class Commands(click.Group):
    """A group that prints our errors as one line and ends with their exit code."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except EventMonitorError as error:
            click.echo(f"event-monitor: {error}", err=True)
            ctx.exit(error.exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a user needs them, not sorted."""
        del ctx
        return list(self.commands)


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
    """Keep the app's name and the broker for the command."""
    ctx.obj = {"app": app, "broker": broker}


@click.group(cls=Commands, name="event-monitor", help=_HELP)
def celery_command() -> None:
    """Do nothing: Celery's own command line has loaded the app."""


for _command in (run, check, status, healthcheck, provision, metrics, cost, show_settings, demo):
    main.add_command(_command)
    celery_command.add_command(_command)
