"""Command: ``event-monitor healthcheck``. With --monitor it takes no longer than Python's start."""

from __future__ import annotations

import time
from typing import Any

import click

from ..settings import Settings
from .loading import load
from .logs import log_to_stderr
from .options import given_flags, loglevel, watching
from .verdict import VerdictCommand

__all__ = ["healthcheck"]


_UNHEALTHY = 1


class _HealthCommand(VerdictCommand):
    code_of_mistakes = _UNHEALTHY  # Docker reserves 2


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
    from ..status.worker_health import examine_monitor, examine_worker, nodename

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
