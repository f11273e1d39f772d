"""Command: ``event-monitor healthcheck``. With --monitor it takes no longer than Python's start."""

from __future__ import annotations

from typing import cast

import click

from ..clock import SYSTEM_CLOCK
from ..settings import Settings
from .app import load_app_and_settings
from .logs import log_to_stderr
from .options import given_flags, loglevel, watching
from .verdict import VerdictCommand

__all__ = ["healthcheck"]

_HEALTHY, _UNHEALTHY = 0, 1  # Docker reserves 2


class _HealthCommand(VerdictCommand):
    code_of_mistakes = _UNHEALTHY


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
    help="Check that this worker answers and is not stalled. Without @host, it is on this host.",
)
@click.option(
    "--monitor", is_flag=True, help="Check that the monitor in this container takes its shots."
)
@click.option(
    "--ignore-broker",
    is_flag=True,
    help="A worker is healthy while the broker cannot be reached: a restart would not help.",
)
@watching
@loglevel("WARNING")
@click.pass_context
def healthcheck(
    ctx: click.Context,
    /,
    *,
    worker: str | None,
    monitor: bool,
    ignore_broker: bool,
    **values: object,
) -> None:
    """Exit with 0 if a worker or the monitor is healthy, else 1.

    Meant for the health check of its container. --monitor looks for the file that the monitor
    writes after every shot, in state_dir or among the temporary files, and takes no longer than
    Python's start; app.conf is not read, so give a state_dir as a flag or a variable. --worker
    asks the worker, and remembers in a file beside it since when it has been idle while work
    waits; with -b instead of -A it need not import your project.
    """
    if bool(worker) == monitor:
        raise click.UsageError("say either --worker NAME or --monitor.", ctx)
    if worker:
        problem = _examine_worker(ctx, worker, values, ignore_broker=ignore_broker)
    else:
        problem = _examine_monitor(values)
    click.echo(problem or "healthy", err=bool(problem))
    ctx.exit(_UNHEALTHY if problem else _HEALTHY)


def _examine_monitor(values: dict[str, object]) -> str | None:
    from ..liveness import Liveness
    from ..status.monitor_health import examine_monitor

    log_to_stderr(cast("str", values["loglevel"]))
    settings = Settings.load(flags=given_flags(values))
    return examine_monitor(Liveness(settings.state_dir), now=SYSTEM_CLOCK.wall())


def _examine_worker(
    ctx: click.Context, worker: str, values: dict[str, object], *, ignore_broker: bool
) -> str | None:
    app, settings = load_app_and_settings(ctx, values)
    from ..status.worker_health import examine_worker, nodename

    try:
        return examine_worker(app, settings, nodename(worker))
    except ConnectionError as error:
        click.echo(f"{str(error).rstrip('.')}.", err=True)
        ctx.exit(_HEALTHY if ignore_broker else _UNHEALTHY)
