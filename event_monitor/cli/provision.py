"""Command: ``event-monitor provision``, from flags to files, or to the account. Talks to a person.

Nothing is asked of AWS without --apply or --delete.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from ..errors import SettingsError
from ..provision.choices import Choices, queue_entry, task_entry
from .app import load_settings
from .options import Command, Decorated, formats, loglevel, watching

__all__ = ["provision"]

_APPLIED = ("alarms", "dashboard", "all")
_D = Choices()


def _number(
    flag: str, name: str, default: float, help_text: str
) -> Callable[[Decorated], Decorated]:
    """An option that is a number; 0 leaves its alarm out."""
    kind: click.IntRange | click.FloatRange = (
        click.IntRange(min=0) if isinstance(default, int) else click.FloatRange(min=0)
    )
    shown = int(default) if default == int(default) else default  # 600, not 600.0
    return click.option(
        flag, name, type=kind, default=shown, show_default=True, metavar="N", help=help_text
    )


@click.command(
    cls=Command,
    examples=(
        "event-monitor provision alarms --topic arn:aws:sns:eu-west-1:123456789012:alerts",
        "event-monitor provision all --format cloudformation --out infra",
        "event-monitor provision alarms --queue celery:max_age=60 --task shop.pay:p95=30",
        "event-monitor provision all --apply --yes",
    ),
)
@click.argument(
    "piece",
    type=click.Choice(["alarms", "dashboard", "autoscaling", "iam", "ecs", "grafana", "all"]),
    default="all",
)
@formats("terraform", "cloudformation", "json")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write files there instead of printing.",
)
@click.option("--apply", "apply", is_flag=True, help="Make it so: alarms and dashboard only.")
@click.option("--delete", "delete", is_flag=True, help="Remove what --apply has made.")
@click.option("--yes", is_flag=True, help="Do not ask before something is changed.")
@click.option("--prefix", default=_D.prefix, show_default=True, help="Begins every name.")
@click.option("--topic", "topics", multiple=True, metavar="ARN", help="Told by every alarm.")
@click.option("--page", "pages", multiple=True, metavar="ARN", help="Told by the composite alarm.")
@click.option(
    "--queue",
    "queue_entries",
    multiple=True,
    metavar="NAME[:LIMITS]",
    help="Alarms of one queue; LIMITS such as max_length=1000,max_age=60.",
)
@click.option(
    "--task",
    "task_entries",
    multiple=True,
    metavar="NAME:LIMITS",
    help="Alarms of one task; LIMITS such as p95=30,failures=10 (seconds, percent).",
)
@_number("--workers-at-least", "workers_at_least", _D.workers_at_least, "Workers to be online.")
@_number("--max-failures", "max_failures", _D.max_failures, "Percent of tasks that may fail.")
@_number("--max-retries", "max_retries", _D.max_retries, "Percent of runs that may be retried.")
@_number("--min-tasks", "min_tasks", _D.min_tasks, "With fewer per period, percents are 0.")
@_number("--max-age", "max_age", _D.max_age, "Seconds a message may wait.")
@_number("--max-length", "max_length", _D.max_length, "Messages that may wait.")
@_number("--max-reserved", "max_reserved", _D.max_reserved, "Tasks workers may hold unbegun.")
@_number("--max-memory", "max_memory", _D.max_memory, "MiB a worker's main process may use.")
@click.option(
    "--sqs-queue", "sqs_queues", multiple=True, metavar="ARN", help="SQS queue to read depths of."
)
@click.option(
    "--scale-by",
    type=click.Choice(["target", "step"]),
    default=_D.scale_by,
    show_default=True,
    help="Track a target, or take steps.",
)
@click.option("--scale-queue", default="", metavar="NAME", help="Scale by one queue, not by all.")
@_number("--backlog", "backlog", _D.backlog, "Messages per pool process to aim at.")
@_number("--workers-from", "workers_from", _D.workers_from, "Fewest tasks of the service.")
@_number("--workers-to", "workers_to", _D.workers_to, "Most tasks of the service.")
@_number(
    "--out-cooldown", "out_cooldown_seconds", _D.out_cooldown_seconds, "Seconds after scaling out."
)
@_number(
    "--in-cooldown", "in_cooldown_seconds", _D.in_cooldown_seconds, "Seconds after scaling in."
)
@watching
@loglevel("WARNING")
@click.pass_context
def provision(ctx: click.Context, /, **values: Any) -> None:
    """Write alarms, dashboards, scaling and permissions for what these settings publish.

    A threshold of 0 leaves its alarm out. With --apply the plan is shown first; what is equal is
    not touched, and what is not ours neither.
    """
    settings, _ = load_settings(ctx, values)
    choices = choices_of(values)
    from ..provision.stack import PIECES, stack_of

    chosen = values["piece"]
    if values["apply"] or values["delete"]:
        _check_applicable(values)
        pieces = tuple(one for one in ("alarms", "dashboard") if chosen in (one, "all"))
        stack = stack_of(pieces, settings, choices)  # type: ignore[arg-type]  # two of its words
        _make_it_so(stack, settings, values)
        return
    stack = stack_of(tuple(one for one in PIECES if chosen in (one, "all")), settings, choices)
    _write(files_of(stack, values["form"]), values["out"])
    for note in stack.notes:
        click.echo(f"note: {note}", err=True)


def choices_of(values: dict[str, Any]) -> Choices:
    """The command's options as choices; ``SettingsError`` for what is wrong with one."""
    # The settings have a `queues` too, which is another thing.
    names = {one.name for one in fields(Choices)} - {"queues", "tasks"}
    return Choices(
        **{name: value for name, value in values.items() if name in names},
        queues=tuple(map(queue_entry, values["queue_entries"])),
        tasks=tuple(map(task_entry, values["task_entries"])),
    )


def files_of(stack: Any, form: str) -> dict[str, str]:
    """File name → text, in the order of the names."""
    files: dict[str, str] = {}
    grafana_only = stack.grafana is not None and not any(
        (stack.alarms, stack.dashboard, stack.scaling, stack.policy, stack.container)
    )
    if grafana_only:
        pass
    elif form == "terraform":
        from ..provision.terraform import terraform_files

        files |= terraform_files(stack)
    elif form == "cloudformation":
        from ..provision.cloudformation import template_of

        files["event-monitor.template.json"] = _json(template_of(stack))
    else:
        from ..provision.api import whole

        files["event-monitor.json"] = _json(whole(stack))
    if stack.grafana is not None:
        files["grafana.json"] = _json(stack.grafana)
    return dict(sorted(files.items()))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _write(files: dict[str, str], folder: Path | None) -> None:
    if folder is None:
        shown = [name for name in files if name != "versions.tf"]  # it is for a folder of its own
        if len(shown) > 1:
            raise SettingsError(
                f"this makes {len(shown)} files ({', '.join(shown)}): say where with --out DIR, "
                "or ask for one piece."
            )
        if not shown:
            raise SettingsError("there is nothing to write: these settings publish none of it.")
        click.echo(files[shown[0]], nl=False)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
            click.echo(str(folder / name))
    except OSError as error:
        raise SettingsError(f"--out {folder} cannot be written to: {error.strerror}.") from error


def _check_applicable(values: dict[str, Any]) -> None:
    flag = "--apply" if values["apply"] else "--delete"
    if values["apply"] and values["delete"]:
        raise SettingsError("--apply and --delete exclude each other.")
    if values["out"] is not None:
        raise SettingsError(f"{flag} writes no files; leave --out away.")
    if values["piece"] not in _APPLIED:
        raise SettingsError(
            f"{flag} knows alarms and dashboard; {values['piece']} is for Terraform, "
            "CloudFormation or your own hands."
        )


def _make_it_so(stack: Any, settings: Any, values: dict[str, Any]) -> None:
    from ..provision.apply import Account

    account = Account(settings)
    changes = account.removal(stack) if values["delete"] else account.plan(stack)
    for change in changes:
        click.echo(str(change))
    todo = tuple(one for one in changes if one.verb != "unchanged")
    if not todo:
        click.echo("Nothing to do.")
        return
    if not values["yes"] and not click.confirm(f"Make these {len(todo)} changes?"):
        click.echo("Nothing was changed.")
        return
    account.carry_out(todo)
    click.echo(f"Done: {len(todo)} changes.")
