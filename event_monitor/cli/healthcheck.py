"""Command: ``event-monitor healthcheck``. With --monitor it takes no longer than Python's start."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from ..clock import SYSTEM_CLOCK
from ..settings import Settings
from .app import load_app_and_settings
from .logs import log_to_stderr
from .options import given_flags, loglevel, watching
from .verdict import VerdictCommand

if TYPE_CHECKING:  # --monitor imports nothing slow
    from ..status.worker_health import WorkerHealth

__all__ = ["healthcheck"]

_HEALTHY, _UNHEALTHY, _UNKNOWN = 0, 1, 3  # Docker reserves 2


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
@click.option(
    "--strict",
    is_flag=True,
    help="Exit with 3, not 0, where a worker cannot be asked or its answer not be read.",
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
    strict: bool,
    **values: object,
) -> None:
    """Exit with 0 if a worker or the monitor is healthy, else 1.

    A worker of which nothing can be known (on SQS, with worker_enable_remote_control off, or with
    answers in pickle) ends with 0 too, and stderr says why: a restart would change nothing. With
    --strict that is 3. A worker that a rate limit holds back, or whose queues were cancelled, is
    healthy.

    Meant for the health check of its container. --monitor looks for the file that the monitor
    writes after every shot, in state_dir or among the temporary files, and takes no longer than
    Python's start; app.conf is not read, so give a state_dir as a flag or a variable. --worker
    asks the worker, and remembers in a file beside it since when it has been idle while work
    waits; with -b instead of -A it need not import your project.
    """
    if bool(worker) == monitor:
        raise click.UsageError("say either --worker NAME or --monitor.", ctx)
    if worker:
        health = _examine_worker(ctx, worker, values, ignore_broker=ignore_broker)
        problem = health.sentence
        code = {
            "healthy": _HEALTHY,
            "unhealthy": _UNHEALTHY,
            "unknown": _UNKNOWN if strict else _HEALTHY,
        }[health.verdict]
    else:
        problem = _examine_monitor(values) or ""
        code = _UNHEALTHY if problem else _HEALTHY
    click.echo(problem or "healthy", err=bool(problem))
    ctx.exit(code)


def _examine_monitor(values: dict[str, object]) -> str | None:
    from ..liveness import Liveness
    from ..status.monitor_health import examine_monitor

    log_to_stderr(cast("str", values["loglevel"]))
    settings = Settings.load(flags=given_flags(values))
    return examine_monitor(Liveness(settings.state_dir), now=SYSTEM_CLOCK.wall())


def _examine_worker(
    ctx: click.Context, worker: str, values: dict[str, object], *, ignore_broker: bool
) -> WorkerHealth:
    app, settings = load_app_and_settings(ctx, values)
    from ..status.worker_health import examine_worker, nodename

    try:
        return examine_worker(app, settings, nodename(worker))
    except ConnectionError as error:
        click.echo(f"{str(error).rstrip('.')}.", err=True)
        ctx.exit(_HEALTHY if ignore_broker else _UNHEALTHY)
