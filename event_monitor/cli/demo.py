"""Command: ``event-monitor demo``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import click

from ..errors import EXIT_CHECK_FAILED, UnavailableError
from .options import Command

__all__ = ["demo"]


@click.command(
    cls=Command,
    examples=(
        "event-monitor demo",
        "event-monitor demo --keep",
        "event-monitor demo --broker redis://localhost:6379/15",
        "event-monitor demo --broker sqs",
    ),
    exit_codes={EXIT_CHECK_FAILED: "a number is not what happened"},
)
@click.option(
    "-b",
    "--broker",
    metavar="URL",
    help="Use this broker instead of an embedded one; sqs is an embedded SQS.",
)
@click.option("--keep", is_flag=True, help="Leave a worker and the page up until Ctrl-C.")
@click.pass_context
def demo(ctx: click.Context, /, *, broker: str | None, keep: bool) -> None:
    """Watch real workers being counted, on this machine.

    Everything it starts is its own and gone afterwards. No AWS account is touched.
    """
    try:
        from ..demo import run_demo

        code = run_demo(broker=broker, keep=keep)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the demo needs {error.name}: pip install 'celery-event-monitor[demo]'."
        ) from error
    ctx.exit(code)
