"""Command: ``event-monitor events``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import signal
import threading

import click

from ..clock import SYSTEM_CLOCK
from ..text import printable
from .app import load_app_and_settings
from .options import Command, loglevel, watching
from .terminal import coloured

__all__ = ["show_events"]

_COLOURS = {"task-failed": "red", "task-retried": "yellow", "worker-offline": "yellow"}


def _globs(name: str, variable: str, help_text: str) -> click.Option:
    return click.Option(
        [name, variable],
        metavar="GLOB",
        multiple=True,
        help=f"{help_text}; may be repeated, and `!` leaves out.",
    )


@click.command(
    cls=Command,
    name="events",
    examples=(
        "event-monitor events -A proj",
        "event-monitor events -A proj --failed --details",
        "event-monitor events -A proj --task 'shop.*' --worker 'w?@*' --json",
        "event-monitor events -b redis://localhost:6379/0 --type 'worker-*' --seconds 60",
        "event-monitor events -A proj --task '!celery.*'",
    ),
    settings=("only_tasks", "only_queues", "only_workers"),
    params=[
        _globs("--type", "types", "Only events of this type, such as task-failed or failed"),
        _globs("--task", "tasks", "Only of tasks of this name"),
        _globs("--worker", "workers", "Only of this worker, by its whole nodename"),
        _globs("--queue", "queue_globs", "Only of tasks that were sent to this queue"),
        click.Option(
            ["--id", "ids"], metavar="ID", multiple=True, help="Only of this task; may be repeated."
        ),
    ],
)
@click.option("--failed", is_flag=True, help="Only tasks that failed: --type task-failed.")
@click.option("--json", "json_wanted", is_flag=True, help="One JSON object a line.")
@click.option(
    "--details",
    is_flag=True,
    help="Show arguments, results, messages and tracebacks, too: they may hold personal data.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End after so many events.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="End after that time.",
)
@watching
@loglevel("INFO")
@click.pass_context
def show_events(
    ctx: click.Context,
    /,
    *,
    types: tuple[str, ...],
    tasks: tuple[str, ...],
    workers: tuple[str, ...],
    queue_globs: tuple[str, ...],
    ids: tuple[str, ...],
    failed: bool,
    json_wanted: bool,
    details: bool,
    limit: int | None,
    seconds: float | None,
    **values: object,
) -> None:
    """Show the events of the workers as they come, one a line, until Ctrl-C.

    What `celery events --dump` shows, with the name of each task, filters, and reconnecting when
    the broker was away. The queue of a task is known if its producer sends task-sent, and a name
    if the task was received meanwhile or a worker has it still. Heartbeats are shown only with
    --type. The settings only_... leave out what is not of their service. At its end it says on
    stderr how many there were.
    """
    app, settings = load_app_and_settings(ctx, values)
    from ..dump import Dump, EventFilter

    def write(text: str) -> None:
        event_type = text.split(" ", 2)[1] if not json_wanted else ""
        click.echo(coloured(text, _COLOURS.get(event_type)))

    dump = Dump(
        app,
        EventFilter(
            types=(*types, *(["task-failed"] if failed else [])),
            tasks=tasks,
            workers=workers,
            queues=queue_globs,
            ids=ids,
            only=settings.only,
        ),
        write=write,
        as_documents=json_wanted,
        with_details=details,
        limit=limit,
        seconds=seconds,
    )
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: dump.stop())
    began_at = SYSTEM_CLOCK.monotonic()
    dump.run()
    click.echo(printable(dump.summary(seconds=SYSTEM_CLOCK.monotonic() - began_at)), err=True)
