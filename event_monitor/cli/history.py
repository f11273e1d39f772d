"""Command: ``event-monitor history``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..clock import SYSTEM_CLOCK
from ..errors import EXIT_CHECK_FAILED, SettingsError
from ..moments import parse_moment
from ..settings import Settings
from .app import load_settings
from .options import Choice, Command, loglevel, watching

__all__ = ["history"]

_STATES = ("succeeded", "failed", "retried", "revoked", "rejected", "orphaned")
_WHAT = ("list", "show", "failures", "incidents", "prune")


@click.command(
    cls=Command,
    examples=(
        "event-monitor history --state-dir /var/lib/monitor",
        "event-monitor history -A proj --state failed --since 2h --text timeout",
        "event-monitor history show 0e5ccd0b --state-dir state",
        "event-monitor history failures --since 1d --json --state-dir state",
        "event-monitor history prune --older 7d --state succeeded --state-dir state",
    ),
    settings=("state_dir",),
    exit_codes={EXIT_CHECK_FAILED: "`show ID`: there is no such task"},
)
@click.argument("what", type=Choice(_WHAT), default="list")
@click.argument("task_id", metavar="[ID]", required=False)
@click.option(
    "--state",
    "states",
    type=Choice(_STATES),
    multiple=True,
    metavar="STATE",
    help=f"How they ended: {', '.join(_STATES)}; may be repeated.",
)
@click.option("--task", metavar="NAME", help="Of this task name.")
@click.option("--worker", metavar="NAME", help="On this worker, by its whole nodename.")
@click.option("--queue", metavar="NAME", help="Sent to this queue.")
@click.option("--since", metavar="TIME", help="Since 90s, 5m, 2h or 7d ago, or an ISO 8601 time.")
@click.option("--text", metavar="TEXT", help="With this in name, id, exception, message or place.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most of them."
)
@click.option("--before", type=click.IntRange(1), metavar="N", help="Those before; the last line.")
@click.option("--older", metavar="TIME", help="`prune`: what is older. [default: by the settings]")
@click.option("--json", "json_wanted", is_flag=True, help="Print JSON; null is what is unknown.")
@watching
@loglevel("WARNING")
@click.pass_context
def history(
    ctx: click.Context,
    /,
    *,
    what: str,
    task_id: str | None,
    states: tuple[str, ...],
    task: str | None,
    worker: str | None,
    queue: str | None,
    since: str | None,
    text: str | None,
    limit: int,
    before: int | None,
    older: str | None,
    json_wanted: bool,
    **values: object,
) -> None:
    """Show the tasks that ended, newest first: what failed, where, and when.

    It reads what a monitor with the setting history keeps in its state_dir, whether the monitor
    runs or not; give the same state_dir. `show ID` has all runs of one task (six characters of its
    id are enough, if no other begins so), `failures` counts them by task, exception class and place
    in the app's own code, exactly, and `incidents` has what was wrong with workers, queues, broker
    and publishing. What succeeds is sampled, and its last line says how much was kept. `prune` lets
    go of what is older now: by the settings history_*, or with --older. Times are UTC.
    """
    if (what == "show") != (task_id is not None):
        raise click.UsageError("say `show ID`, and no ID otherwise.", ctx)
    if older is not None and what != "prune":
        raise click.UsageError("--older is for `prune`.", ctx)
    settings, _ = load_settings(ctx, values)
    path = _path(settings)
    now = SYSTEM_CLOCK.wall()
    if what == "prune":
        click.echo(_pruned(path, settings, older=older, states=states, now=now))
        return
    from ..history import Reader, RunFilter
    from .history_text import HistoryText

    began = None if since is None else _moment("--since", since, now)
    wanted = RunFilter(states=states, name=task, worker=worker, queue=queue, text=text, since=began)
    with Reader.open(path) as reader:
        shown = HistoryText(reader)
        if what == "show":
            document, lines = shown.task(task_id or "")
        elif what == "failures":
            document, lines = shown.failures(wanted, limit=limit)
        elif what == "incidents":
            document, lines = shown.incidents(
                since=began or 0.0, limit=limit, now=now, interval_seconds=settings.interval
            )
        else:
            document, lines = shown.runs(wanted, before=before, limit=limit)
    click.echo(json.dumps(document, indent=2) if json_wanted else "\n".join(lines))
    if what == "show" and not document["runs"]:
        ctx.exit(EXIT_CHECK_FAILED)


def _path(settings: Settings) -> Path:
    from ..history import FILE_NAME

    if not settings.state_dir:
        raise SettingsError(
            "state_dir is not set: without one a history is in the memory of its monitor only; "
            "give the monitor and this command the same state_dir."
        )
    return Path(settings.state_dir, FILE_NAME)


def _pruned(
    path: Path, settings: Settings, *, older: str | None, states: tuple[str, ...], now: float
) -> str:
    from ..history import STATES, kept_seconds, prune

    if older is not None:
        deleted = prune(path, before=_moment("--older", older, now), states=states)
    else:
        deleted = sum(
            prune(path, before=now - kept_seconds(settings, state), states=(state,))
            for state in states or STATES
        )
    return f"{deleted:,} runs deleted"


def _moment(flag: str, text: str, now: float) -> float:
    """Return the time that is meant, in seconds since the epoch."""
    moment = parse_moment(text, now=now)
    if moment is None:
        raise SettingsError(
            f"{flag} is {text!r}; say how long ago, such as 90s, 5m, 2h or 7d, or a time such as "
            "2026-01-31T12:00."
        )
    return moment
