"""Command: ``event-monitor cost``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import click

from ..errors import SettingsError
from ..metrics import label_for
from ..over_sqs.configuration import EventQueue, event_queue_of
from ..provision.options import ProvisionOptions, parse_queue_limits, parse_task_limits
from ..settings import Settings
from .app import load_named_app
from .app_names import names_in
from .options import Command, loglevel, number_of, watching
from .terminal import width

__all__ = ["cost"]

_TASKS_PER_SECOND = 10.0
_TASKS, _QUEUES = 40, 3  # of a cluster that nothing is known of


@click.command(
    cls=Command,
    examples=(
        "event-monitor cost --tasks 40 --workers 10",
        "event-monitor cost -A proj --by-worker all --interval 10",
        "event-monitor cost --workers 50 --tasks-per-second 40",
        "event-monitor cost -A proj --task shop.pay:p95=30 --queue celery:max_age=60",
    ),
)
@click.option(
    "--tasks",
    type=click.IntRange(0, 100_000),
    metavar="N",
    help="Task names that get their own series.  [default: those of the app, or 40]",
)
@number_of("--workers", most=100_000, default=10, help_text="Workers.")
@click.option(
    "--queues-watched",
    type=click.IntRange(0, 10_000),
    metavar="N",
    help="Queues.  [default: those of the app, or 3]",
)
@number_of("--exceptions", most=10_000, default=10, help_text="Classes, for --by-exception.")
@number_of("--custom-events", most=1_000, default=0, help_text="Event types of the app's own.")
@number_of("--dashboards", most=10_000, default=0, help_text="Other dashboards of the account.")
@click.option(
    "--queue",
    "queue_entries",
    multiple=True,
    metavar="NAME[:LIMITS]",
    help="Alarms of one queue, as in `provision`.",
)
@click.option(
    "--task",
    "task_entries",
    multiple=True,
    metavar="NAME:LIMITS",
    help="Alarms of one task, as in `provision`.",
)
@number_of("--periodic-tasks", most=10_000, default=1, help_text="Tasks that schedules expect.")
@click.option(
    "--tasks-per-second",
    type=click.FloatRange(0, 1_000_000),
    metavar="N",
    help="With send_events_over_sqs: the tasks that end, for the requests to SQS.  "
    "[default: 10, if the app calls it]",
)
@number_of("--producers", most=100_000, default=0, help_text="Senders of task-sent over SQS.")
@watching
@loglevel("WARNING")
@click.pass_context
def cost(
    ctx: click.Context,
    /,
    *,
    tasks: int | None,
    workers: int,
    queues_watched: int | None,
    exceptions: int,
    custom_events: int,
    dashboards: int,
    queue_entries: tuple[str, ...],
    task_entries: tuple[str, ...],
    periodic_tasks: int,
    tasks_per_second: float | None,
    producers: int,
    **values: object,
) -> None:
    """Estimate the monthly CloudWatch bill, with the alarms and the dashboard of `provision`.

    Where the app calls send_events_over_sqs, or --tasks-per-second is given, the requests to SQS
    are in it. Asks nobody. With an app its task names and queues are counted, without one 40 and 3.
    """
    app, settings = load_named_app(ctx, values)
    given = values["event_queue"]
    queue = event_queue_of(app) or (EventQueue(name=str(given)) if given else None)
    options = ProvisionOptions(
        event_queue=queue.name.rpartition("/")[2] if queue else "",
        queues=tuple(map(parse_queue_limits, queue_entries)),
        tasks=tuple(map(parse_task_limits, task_entries)),
    )
    from ..metrics.bill import bill
    from ..metrics.cost import Cluster
    from ..metrics.prices import Provisioned
    from ..metrics.sqs_cost import SqsTraffic
    from ..provision.billed import billed
    from ..provision.known_names import check_names
    from ..provision.stack import build_stack

    names = names_in(app, settings)
    check_names(options, settings, tasks=names.tasks, queues=names.declared_queues)
    # Which queue a task goes to is not known here: with `only_queues` alone all of them count.
    tasks_of_it = filter(settings.only.has_task, names.tasks)
    queues_of_it = tuple(filter(settings.only.has_queue, names.queues))
    labels = {label_for(name, settings) for name in tasks_of_it} - {None}
    task_count, tasks_from = _counted(tasks, len(labels) if names.tasks else None, assumed=_TASKS)
    queue_count, queues_from = _counted(queues_watched, len(queues_of_it) or None, assumed=_QUEUES)
    cluster = Cluster(
        tasks=task_count,
        workers=workers,
        queues=queue_count,
        exceptions=exceptions,
        custom_events=custom_events,
        periodic_tasks=periodic_tasks,
    )

    def provisioned_by(changed: Settings) -> Provisioned:
        stack = build_stack(("alarms",), changed, options)
        with suppress(SettingsError):  # a dashboard that cannot be written costs nothing
            stack = build_stack(("alarms", "dashboard"), changed, options)
        return replace(billed(stack), other_dashboards=dashboards)

    click.echo(
        f"Task names: {task_count:,} ({tasks_from}). Queues: {queue_count:,} ({queues_from}). "
        f"Workers: {workers:,}.\n"
    )
    traffic = None
    if queue is not None or tasks_per_second is not None:
        pace = queue or EventQueue()
        traffic = SqsTraffic(
            workers=workers,
            tasks_per_second=_TASKS_PER_SECOND if tasks_per_second is None else tasks_per_second,
            producers=producers,
            flush_seconds=pace.flush_seconds,
            beat_seconds=pace.beat_seconds,
        )
    click.echo(
        bill(settings, cluster, provisioned_by=provisioned_by, traffic=traffic, width=width())
    )


def _counted(given: int | None, in_app: int | None, *, assumed: int) -> tuple[int, str]:
    """Return the number to count with, and where it comes from."""
    if given is not None:
        return given, "as given"
    return (assumed, "assumed") if in_app is None else (in_app, "of the app")
