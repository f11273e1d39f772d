"""Command: ``event-monitor healthcheck``. Without --worker it is as fast as Python's start."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from ..clock import SYSTEM_CLOCK
from ..settings import Settings
from ..text import error_line, printable
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
        "event-monitor healthcheck --beat",
        "event-monitor healthcheck -A proj --worker celery",
        "event-monitor healthcheck -b redis://localhost:6379/0 --worker w1@%h --ignore-broker",
    ),
    settings=("state_dir", "namespace", "dimensions", "probe_seconds", "worker_stalled_seconds"),
    exit_codes={
        0: "healthy, or nothing can be known",
        1: "unhealthy, or a flag or setting is wrong",
        2: "",
        3: "with --strict: nothing can be known",
    },
)
@click.option(
    "--worker",
    metavar="NAME",
    help="Check that this worker answers and is not stalled. Without @host, it is on this host.",
)
@click.option(
    "--monitor",
    is_flag=True,
    help="Check that the monitor in this container takes its shots, and still publishes.",
)
@click.option(
    "--beat",
    is_flag=True,
    help="Check that the Celery beat in this container looks what is due. It has to import "
    "event_monitor.beat: name it in the app's imports.",
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
@click.option(
    "--accepted-within",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="The monitor is unhealthy too if nothing was accepted for so long: three intervals or "
    "more. A restart seldom helps, and loses what is kept in memory.",
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
    beat: bool,
    ignore_broker: bool,
    strict: bool,
    accepted_within: int | None,
    **values: object,
) -> None:
    """Exit with 0 if a worker, the monitor or Celery's beat is healthy, else 1.

    A worker of which nothing can be known (on SQS without send_events_over_sqs, with
    worker_enable_remote_control off, or with answers in pickle) ends with 0 too, and stderr says
    why: a restart would change nothing. With --strict that is 3. A worker that a rate limit holds
    back, or whose queues were cancelled, is healthy.

    Meant for the health check of its container. --monitor looks for what the monitor leaves after
    every shot, in state_dir, among the temporary files, or on a socket where it cannot write, and
    takes no longer than Python's start. It fails when shots stop, or when one request has taken
    twice the time it may; not because metrics are refused. app.conf is not read, so give a
    state_dir as a flag or a variable; without one, broker, namespace and dimensions tell monitors
    of one machine apart, as far as they are given in one of these ways. --beat does the same for
    the sign that beat leaves before it sleeps, named by the broker: it fails when beat does not
    look what is due a minute after it should have. --worker asks the worker, and remembers in a
    file beside it since when it has been idle while work waits; with -b instead of -A it need not
    import your project. On SQS it looks for the note that send_events_over_sqs leaves at each
    heartbeat, and fails when three are missing.
    """
    if (bool(worker), monitor, beat).count(True) != 1:
        raise click.UsageError("say either --worker NAME, --monitor or --beat.", ctx)
    if accepted_within is not None and not monitor:
        raise click.UsageError("--accepted-within is for --monitor.", ctx)
    facts = ""
    if worker:
        health = _examine_worker(ctx, worker, values, ignore_broker=ignore_broker)
        problem = health.sentence
        code = {
            "healthy": _HEALTHY,
            "unhealthy": _UNHEALTHY,
            "unknown": _UNKNOWN if strict else _HEALTHY,
        }[health.verdict]
    else:
        if beat:
            problem = _examine_beat(ctx, values)
        else:
            problem, facts = _examine_monitor(ctx, values, accepted_within=accepted_within)
        code = _UNHEALTHY if problem else _HEALTHY
    said = problem or ": ".join(filter(None, ("healthy", facts)))
    click.echo(printable(said), err=bool(problem))
    ctx.exit(code)


def _examine_monitor(
    ctx: click.Context, values: dict[str, object], *, accepted_within: int | None
) -> tuple[str, str]:
    """Return what is wrong, and what there is to say besides; both may be empty."""
    from ..liveness import Identity
    from ..status.monitor_health import examine_monitors, monitors_of, sign_of_monitor
    from ..status.phrases import monitor_facts

    log_to_stderr(cast("str", values["loglevel"]), cast("str", values["log_format"]))
    settings, sources = Settings.load_with_sources(flags=given_flags(values))
    # The app is not loaded, and what is not given here may be in its configuration. What nobody has
    # set is looked for first: it must not matter what other monitors of this machine do.
    broker = _given_broker(ctx, values)
    default = Identity(broker=broker, namespace=settings.namespace, dimensions=settings.dimensions)
    given = Identity(
        broker=broker,
        namespace=None if sources["namespace"] == "default" else settings.namespace,
        dimensions=None if sources["dimensions"] == "default" else settings.dimensions,
    )
    now = SYSTEM_CLOCK.wall()
    monitors = monitors_of(settings.state_dir, default, given)
    problem = examine_monitors(monitors, now=now, accepted_within=accepted_within)
    sign = sign_of_monitor(monitors, now=now)
    # A sign that does not say when the publisher began is an older version's, and says no more.
    return problem or "", monitor_facts(sign) if sign and sign.running_seconds is not None else ""


def _examine_beat(ctx: click.Context, values: dict[str, object]) -> str:
    """Return what is wrong; empty if nothing is."""
    from ..status.beat_health import examine_beat

    log_to_stderr(cast("str", values["loglevel"]), cast("str", values["log_format"]))
    settings = Settings.load(flags=given_flags(values))
    broker = _given_broker(ctx, values)
    return examine_beat(settings.state_dir, broker, now=SYSTEM_CLOCK.wall()) or ""


def _given_broker(ctx: click.Context, values: dict[str, object]) -> str | None:
    given = ctx.obj["broker"] if isinstance(ctx.obj, dict) else None  # of `event-monitor`
    return cast("str | None", values["broker"] or given)


def _examine_worker(
    ctx: click.Context, worker: str, values: dict[str, object], *, ignore_broker: bool
) -> WorkerHealth:
    app, settings = load_app_and_settings(ctx, values)
    from ..status.worker_health import examine_worker, nodename

    try:
        return examine_worker(app, settings, nodename(worker))
    except ConnectionError as error:
        click.echo(f"{error_line(error).rstrip('.')}.", err=True)
        ctx.exit(_HEALTHY if ignore_broker else _UNHEALTHY)
