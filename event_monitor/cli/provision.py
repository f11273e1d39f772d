"""Command: ``event-monitor provision``, from flags to files, or to the account.

Nothing is asked of AWS without --apply or --delete.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import SettingsError
from ..moments import parse_seconds
from ..over_sqs.configuration import DEFAULT_NAME, event_queue_of
from ..provision.options import (
    ProvisionOptions,
    parse_environment,
    parse_queue_limits,
    parse_scale,
    parse_secret,
    parse_task_limits,
    prefix_of,
)
from ..provision.quantities import parse_too_many
from ..settings import Settings
from ..text import printable
from .app import load_named_app
from .app_names import names_in
from .options import Choice, Command, Decorated, formats, loglevel, watching
from .output import print_files, write_files

if TYPE_CHECKING:
    from ..broker.protocols import CeleryApp
    from ..provision.stack import Piece, Stack

__all__ = ["files_of", "provision"]

_PIECES: tuple[Piece, ...] = (
    *("alarms", "dashboard", "autoscaling", "iam", "sqs", "ecs", "grafana"),
)
_APPLICABLE: tuple[Piece, ...] = ("alarms", "dashboard")
_DEFAULTS = ProvisionOptions()
#: Options that are parsed from repeated flags; `queues` of the command line is a setting.
_PARSED = frozenset({"queues", "tasks", "environment", "secrets", "services"})


def _number(flag: str, name: str, *, help_text: str) -> Callable[[Decorated], Decorated]:
    """Return a flag for the number of that name in ``ProvisionOptions``."""
    default = getattr(_DEFAULTS, name)
    kind: click.IntRange | click.FloatRange = (
        click.IntRange(min=0) if isinstance(default, int) else click.FloatRange(min=0)
    )
    shown = int(default) if default == int(default) else default  # 600, not 600.0
    return click.option(
        flag, name, type=kind, default=shown, show_default=True, metavar="N", help=help_text
    )


def _quantity(
    flag: str, name: str, default: str, parse: Callable[[str, str], object], *, help_text: str
) -> Callable[[Decorated], Decorated]:
    """Return a flag for a duration, or for what is too many, in ``ProvisionOptions``."""
    return click.option(
        flag,
        name,
        default=default,
        show_default=True,
        metavar="TIME" if parse is _seconds else "N[/TIME]",
        help=help_text,
        callback=lambda _ctx, _param, text: parse(flag, text),
    )


def _seconds(flag: str, text: str) -> float:
    seconds = parse_seconds(text)
    if seconds is None:
        raise SettingsError(f"{flag} is {text!r}; say a time such as 90, 5m or 1h.")
    return seconds


@click.command(
    cls=Command,
    examples=(
        "event-monitor provision alarms --topic arn:aws:sns:eu-west-1:123456789012:alerts",
        "event-monitor provision all --format cloudformation --out infra",
        "event-monitor provision all --skip ecs --skip autoscaling --out infra",
        "event-monitor provision alarms --queue celery:max_age=60 --task shop.pay:p95=30",
        "event-monitor provision autoscaling --scale celery=workers --scale mail=mailers",
        "event-monitor provision sqs -A proj --out infra",
        "event-monitor provision alarms -A proj --max-failures 5/5m --max-running 30m",
        "event-monitor provision all --apply --yes",
    ),
)
@click.argument(
    "piece",
    type=Choice((*_PIECES, "prometheus", "all")),
    default="all",
)
@formats("terraform", "cloudformation", "json")
@click.option(
    "--skip",
    type=Choice(_PIECES),
    multiple=True,
    metavar="PIECE",
    help="Leave this piece out of all, such as ecs where the monitor runs elsewhere.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write files there instead of printing; lists them.",
)
@click.option("--force", is_flag=True, help="Overwrite files of --out that others have made.")
@click.option(
    "--apply", "apply", is_flag=True, help="Make the changes in AWS: alarms and dashboard only."
)
@click.option("--delete", "delete", is_flag=True, help="Remove what --apply has made.")
@click.option("--yes", is_flag=True, help="Do not ask before something is changed.")
@click.option(
    "--prefix",
    metavar="NAME",
    help="Beginning of every name.  [default: the namespace in small letters, such as celery]",
)
@click.option("--topic", "topics", multiple=True, metavar="ARN", help="Notified by every alarm.")
@click.option(
    "--page",
    "pages",
    multiple=True,
    metavar="ARN",
    help="Notified by those alarms, too, which mean that work stops.",
)
@click.option("--page-url", default="", metavar="URL", help="Named in every alarm: where to look.")
@click.option(
    "--queue",
    "queue_entries",
    multiple=True,
    metavar="NAME[:LIMITS]",
    help="Alarms of one queue; LIMITS such as max_length=1000,max_age=5m,workers=2.",
)
@click.option(
    "--task",
    "task_entries",
    multiple=True,
    metavar="NAME:LIMITS",
    help="Alarms of one task; LIMITS such as p95=30,failures=3/15m,retries=50,running=1h.",
)
@_number("--workers-at-least", "workers_at_least", help_text="Workers that must be online.")
@_quantity(
    "--max-failures",
    "max_failures",
    "5",
    parse_too_many,
    help_text="Percent of tasks that may fail; or the failures, such as 5/5m, that are too many.",
)
@_quantity(
    "--max-retries",
    "max_retries",
    "25",
    parse_too_many,
    help_text="The same for runs that end in a retry.",
)
@_quantity(
    "--max-exhausted",
    "max_exhausted",
    "1",
    parse_too_many,
    help_text="The same for tasks that fail after their retries.",
)
@_number("--min-failures", "min_failures", help_text="With fewer, percentages are 0.")
@_quantity("--max-age", "max_age", "10m", _seconds, help_text="How long a message may wait.")
@_number("--max-length", "max_length", help_text="Messages that may wait.")
@_quantity("--max-running", "max_running", "1h", _seconds, help_text="How long a task may run.")
@_quantity(
    "--max-spool-age", "max_spool_age", "15m", _seconds, help_text="How old unsent metrics may be."
)
@_number("--max-reserved", "max_reserved", help_text="Tasks workers may hold unstarted.")
@_number(
    "--max-utilization",
    "max_utilization",
    help_text="Percent of the pool that may not be busy for 15 minutes.",
)
@_number(
    "--max-memory",
    "max_memory",
    help_text="MiB a worker may use with its pool; only with send_events_over_sqs.",
)
@click.option(
    "--sqs-queue", "sqs_queues", multiple=True, metavar="ARN", help="SQS queue whose depth is read."
)
@click.option(
    "--environment",
    "environment_entries",
    multiple=True,
    metavar="NAME=VALUE",
    help="Environment variable of the app, for the monitor on ECS.",
)
@click.option(
    "--secret",
    "secret_entries",
    multiple=True,
    metavar="NAME=ARN",
    help="The same, from that secret.",
)
@click.option(
    "--scale-by",
    type=Choice(["target", "step"]),
    default=_DEFAULTS.scale_by,
    show_default=True,
    help="Track a target, or take steps.",
)
@click.option("--scale-queue", default="", metavar="NAME", help="Scale by one queue, not by all.")
@click.option(
    "--scale",
    "scale_entries",
    multiple=True,
    metavar="QUEUE=SERVICE",
    help="Scale that ECS service by that queue.",
)
@_number("--backlog", "backlog", help_text="Messages per pool process to aim for.")
@_number("--workers-from", "workers_from", help_text="Fewest tasks of the service.")
@_number("--workers-to", "workers_to", help_text="Most tasks of the service.")
@_number("--out-cooldown", "out_cooldown_seconds", help_text="Seconds after scaling out.")
@_number("--in-cooldown", "in_cooldown_seconds", help_text="Seconds after scaling in.")
@watching
@loglevel("WARNING")
@click.pass_context
def provision(
    ctx: click.Context,
    /,
    *,
    piece: str,
    form: str,
    skip: tuple[str, ...],
    out: Path | None,
    force: bool,
    apply: bool,
    delete: bool,
    yes: bool,
    **values: Any,
) -> None:
    """Write alarms, dashboards, scaling and permissions for what these settings publish.

    A threshold of 0 leaves its alarm out. --apply shows its plan first; it leaves alone what is up
    to date, and what it has not made itself.
    """
    app, settings = load_named_app(ctx, values)
    if values["prefix"] is None:
        values["prefix"] = prefix_of(settings.namespace)
    values["event_queue"] = _event_queue(app, piece, given=values["event_queue"])
    options = _options_from(values, has_schedules=_has_schedules(settings, app))
    if skip and piece != "all":
        raise SettingsError(f"--skip is for all; {piece} is one piece.")
    from ..provision.known_names import check_names
    from ..provision.stack import build_stack

    # Without a name to check nothing of the app has to be imported.
    if options.tasks or options.queues or options.scale_queue or options.services:
        names = names_in(app, settings)
        check_names(options, settings, tasks=names.tasks, queues=names.declared_queues)

    if piece == "prometheus":  # not of AWS, and so not of all
        if apply or delete:
            raise SettingsError("--apply and --delete are for AWS; Prometheus reads the files.")
        from ..provision.render.prometheus import prometheus_files

        _write(prometheus_files(settings, options), out, force=force)
        return
    wanted = tuple(name for name in _PIECES if piece in (name, "all") and name not in skip)
    if apply or delete:
        if apply and delete:
            raise SettingsError("--apply and --delete exclude each other.")
        _check_applicable("--apply" if apply else "--delete", piece, out=out, force=force)
        wanted = tuple(name for name in wanted if name in _APPLICABLE)
        stack = build_stack(wanted, settings, options)
        _change_account(stack, settings, delete=delete, confirmed=yes)
        return
    stack = build_stack(wanted, settings, options)
    _write(files_of(stack, form), out, force=force)
    notes = [*stack.notes, *_notes_on(stack, form)]
    if piece == "all" and "ecs" in wanted:
        notes.append(
            "The monitor's service on ECS is one of these: --skip ecs if it runs elsewhere."
        )
    for note in notes:
        click.echo(f"note: {printable(note)}", err=True)


def _write(files: Mapping[str, str], out: Path | None, *, force: bool) -> None:
    if out is not None:
        write_files(files, out, force=force)
    elif force:
        raise SettingsError("--force is for --out DIR.")
    else:
        print_files(files)


def files_of(stack: Stack, form: str) -> dict[str, str]:
    """Return file name → text, in the order of the names."""
    files: dict[str, str] = {}
    if stack.is_grafana_only:
        pass  # it is the same in every form
    elif form == "terraform":
        from ..provision.render.terraform import terraform_files

        files |= terraform_files(stack)
    elif form == "cloudformation":
        from ..provision.render.cloudformation import cloudformation_template, template_text

        files["event-monitor.template.json"] = template_text(cloudformation_template(stack))
    else:
        from ..provision.render.api import api_calls

        files["event-monitor.json"] = _json(api_calls(stack))
    if stack.grafana is not None:
        files["grafana.json"] = _json(stack.grafana)
    return dict(sorted(files.items()))


def _has_schedules(settings: Settings, app: CeleryApp | None) -> bool | None:
    """Return whether periodic tasks are expected; None where the app would have to say."""
    if app is None:
        return True if settings.schedules else None
    from ..schedules import expected_tasks

    return bool(expected_tasks(app, settings))


def _event_queue(app: CeleryApp | None, piece: str, *, given: str | None) -> str:
    """Return the name of the SQS queue that carries events; empty if none is known of."""
    queue = event_queue_of(app)
    name = given or (queue.name if queue is not None else "")
    return name.rpartition("/")[2] or (DEFAULT_NAME if piece == "sqs" else "")


def _notes_on(stack: Stack, form: str) -> tuple[str, ...]:
    if form != "cloudformation" or stack.is_grafana_only:
        return ()
    from ..provision.render.cloudformation import cloudformation_template, template_notes

    return tuple(template_notes(cloudformation_template(stack)))


def _options_from(values: Mapping[str, Any], *, has_schedules: bool | None) -> ProvisionOptions:
    """Return the command's own options; ``SettingsError`` for what is wrong with one."""
    names = {field.name for field in fields(ProvisionOptions)} - _PARSED
    chosen = {name: value for name, value in values.items() if name in names}
    return ProvisionOptions(
        **{**chosen, "app": values.get("app") or ""},
        has_schedules=has_schedules,
        queues=tuple(map(parse_queue_limits, values["queue_entries"])),
        tasks=tuple(map(parse_task_limits, values["task_entries"])),
        environment=tuple(map(parse_environment, values["environment_entries"])),
        secrets=tuple(map(parse_secret, values["secret_entries"])),
        services=tuple(map(parse_scale, values["scale_entries"])),
    )


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _check_applicable(flag: str, piece: str, *, out: Path | None, force: bool) -> None:
    if out is not None or force:
        given = "--force" if out is None else "--out"
        raise SettingsError(f"{flag} writes no files; remove {given}.")
    if piece not in (*_APPLICABLE, "all"):
        raise SettingsError(
            f"{flag} supports only alarms and dashboard; create {piece} with Terraform, with "
            "CloudFormation or by hand."
        )


def _change_account(stack: Stack, settings: Settings, *, delete: bool, confirmed: bool) -> None:
    """Show the plan and, once it is confirmed, carry it out."""
    from ..provision.apply import Account

    account = Account.connect(settings)
    changes = account.removal(stack) if delete else account.plan(stack)
    for change in changes:
        click.echo(printable(str(change)))
    todo = tuple(change for change in changes if change.verb != "unchanged")
    if not todo:
        click.echo("Nothing to do.")
        return
    if not confirmed and not click.confirm(f"Make these {len(todo)} changes?"):
        click.echo("Nothing was changed.")
        return
    account.carry_out(todo)
    click.echo(f"Done: {len(todo)} changes.")
