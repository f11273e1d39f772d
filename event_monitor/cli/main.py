"""Command line: the two groups of commands, one for the console script, one for Celery.

``main`` is the console script; ``celery_command`` is ``celery -A proj event-monitor``. The module
of a command is imported when it is asked for, and so are Celery and boto3: every ``celery`` command
loads this, and a monitor that runs for months needs one command only.
"""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import click

from .. import __version__
from ..errors import EXIT_CRASHED, EXIT_UNAVAILABLE, EventMonitorError
from ..redaction import remember_secrets, without_secrets
from ..settings import did_you_mean
from ..text import error_line, printable
from .options import HELP_FLAGS
from .terminal import open_missing_streams

__all__ = ["celery_command", "main"]

_HELP = """Celery events in, CloudWatch metrics out: one process that counts each event once.

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


# Command → its function, in the order in which a user needs them; each in the module of its name.
_COMMANDS = {
    "run": "run",
    "check": "check",
    "status": "status",
    "top": "top",
    "events": "show_events",
    "healthcheck": "healthcheck",
    "history": "history",
    "init": "init",
    "provision": "provision",
    "metrics": "metrics",
    "cost": "cost",
    "settings": "show_settings",
    "demo": "demo",
}


class Commands(click.Group):
    """A group that prints our errors as one line and ends with their exit code.

    Whatever ends a command, no password is printed, and no name can keep a line from being.
    """

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the arguments up to the command's name."""
        open_missing_streams()
        _let_every_character_be_printed()
        try:
            with _without_secrets():
                return super().make_context(info_name, args, parent, **extra)
        except BrokenPipeError:
            raise
        except OSError as error:  # --help is printed here
            raise _ended_by(error) from None

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            with _without_secrets():
                return super().invoke(ctx)
        except EventMonitorError as error:
            click.echo(f"event-monitor: {error_line(error)}", err=True)
            ctx.exit(error.exit_code)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except OSError as error:  # such as a full disk under a redirected output
            raise _ended_by(error) from None
        except Exception:  # noqa: BLE001  a mistake of ours
            click.echo(without_secrets(traceback.format_exc()), err=True, nl=False)
            ctx.exit(EXIT_CRASHED)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; of a misspelt one, say which may be meant."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            ctx.fail(f"there is no command {name!r}{did_you_mean(name, _COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a user needs them, not sorted."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command; None if there is no such."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f".{cmd_name}", __package__)
        command: click.Command = getattr(module, _COMMANDS[cmd_name])
        return command


def _ended_by(error: OSError) -> click.exceptions.Exit:
    """Say in one sentence what cannot be read or written; return what ends the command."""
    click.echo(f"event-monitor: reading or writing failed: {error_line(error)}", err=True)
    with suppress(OSError):
        sys.stdout.close()  # else the interpreter tries to write the rest at its end
    return click.exceptions.Exit(EXIT_UNAVAILABLE)


@contextmanager
def _without_secrets() -> Iterator[None]:
    """Mask passwords in click's own complaints, which quote what was typed."""
    try:
        yield
    except click.UsageError as error:
        said = error.format_message()
        shown = "\n".join(map(printable, without_secrets(said).split("\n")))
        if shown == said:
            raise
        told = click.UsageError(shown, error.ctx)
        told.exit_code = error.exit_code  # type: ignore[misc]  # read there by click
        raise told from None


def _let_every_character_be_printed() -> None:
    """Escape what the terminal's encoding lacks: in an ASCII locale a name would raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@click.group(cls=Commands, name="event-monitor", help=_HELP, context_settings=HELP_FLAGS)
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
    if broker:
        remember_secrets(broker)


@click.group(cls=Commands, name="event-monitor", help=_HELP, context_settings=HELP_FLAGS)
def celery_command() -> None:
    """Do nothing: Celery's own command line has loaded the app."""
