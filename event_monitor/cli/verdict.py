"""Verdict: commands whose exit code a machine reads, as a check of Nagios or of a container."""

from __future__ import annotations

from typing import Any, ClassVar

import click

from ..errors import EventMonitorError
from .options import Command

__all__ = ["VerdictCommand"]


class VerdictCommand(Command):
    """A command whose exit code is read by a machine: its own mistakes have one that fits."""

    code_of_mistakes: ClassVar[int]

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Parse; a wrong flag is no verdict on what was to be checked."""
        try:
            return super().make_context(*args, **options)
        except click.UsageError as error:
            error.exit_code = self.code_of_mistakes  # type: ignore[misc]  # read there by click
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run; so is a wrong setting, or an app that cannot be loaded."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.exit_code = self.code_of_mistakes  # type: ignore[misc]  # read there by click
            raise
        except EventMonitorError as error:
            self.tell(error)
            ctx.exit(self.code_of_mistakes)

    def tell(self, error: EventMonitorError) -> None:
        """Say it where it is looked for."""
        click.echo(f"event-monitor: {error}", err=True)
