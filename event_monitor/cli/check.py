"""Command: ``event-monitor check``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import click

from ..errors import EXIT_CHECK_FAILED, EXIT_OK
from .app import has_configuration, load_app_and_settings
from .options import Command, formats, loglevel, watching
from .terminal import coloured, width

__all__ = ["check"]


@click.command(
    cls=Command,
    examples=(
        "event-monitor check -A proj",
        "event-monitor check -A proj --enable-events",
        "event-monitor check -b amqp://guest@localhost// --dry-run --format json",
        "event-monitor check -b redis://cache/3 --transport-option global_keyprefix=prod:",
    ),
    settings=("namespace", "region", "sink", "enable_events", "management_url"),
    exit_codes={EXIT_OK: "nothing failed", EXIT_CHECK_FAILED: "something failed"},
)
@watching
@loglevel("ERROR")
@click.option(
    "--listen",
    type=click.FloatRange(0, 3_600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to listen for events of the workers.",
)
@click.option("--dry-run", is_flag=True, help="Look at the broker only, as for `run --dry-run`.")
@formats("text", "json")
@click.pass_context
def check(
    ctx: click.Context, /, *, listen: float, dry_run: bool, form: str, **values: object
) -> None:
    """Prove that events arrive and CloudWatch takes data.

    It sends one event to itself and puts one datum, MonitorCheck. With --enable-events it also
    turns task events on in every worker.

    Ready means that events came of every worker that answers, and that there is one: where none
    is, it looks for workers in other databases, under other key prefixes and on other virtual
    hosts. A user of the broker who may only read is ready; what is missing then is a warning.
    With send_events_over_sqs it looks at the SQS queue and at the messages in it, of which it
    takes none away. Advice on risky configuration is a note or a warning, and names where it is
    documented.
    """
    if dry_run:
        values["sink"] = "console"
    app, settings = load_app_and_settings(ctx, values)
    from ..check import check as examine
    from ..check import json_report, paragraph, passed, summary

    findings = []
    for finding in examine(
        app,
        settings,
        listen_seconds=listen,
        has_configuration=has_configuration(ctx, values),
    ):
        findings.append(finding)
        if form == "text":
            colour = {"failed": "red", "warning": "yellow"}.get(finding.status)
            shown = paragraph(finding, width=width())
            click.echo(coloured(shown, colour))
    click.echo(json_report(findings) if form == "json" else f"\n{summary(findings)}")
    ctx.exit(EXIT_OK if passed(findings) else EXIT_CHECK_FAILED)
