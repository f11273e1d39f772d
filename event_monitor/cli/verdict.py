"""Verdict: commands whose exit code a machine reads, for Nagios or for a container."""

from __future__ import annotations

from typing import ClassVar

import click

from ..errors import EventMonitorError
from ..text import error_line
from .options import Command

__all__ = ["VerdictCommand"]


class VerdictCommand(Command):
    """A command whose exit code is a verdict; a mistake in how it was called has its own code."""

    code_of_mistakes: ClassVar[int]

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Parse the arguments; a wrong flag is no verdict on what was to be checked."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            error.exit_code = self.code_of_mistakes  # type: ignore[misc]  # read there by click
            raise

    def invoke(self, ctx: click.Context) -> object:
        """Run it; a wrong setting, or an app that cannot be loaded, is no verdict either."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.exit_code = self.code_of_mistakes  # type: ignore[misc]  # read there by click
            raise
        except EventMonitorError as error:
            self.report(error)
            ctx.exit(self.code_of_mistakes)

    def report(self, error: EventMonitorError) -> None:
        """Print the mistake where it is looked for."""
        click.echo(f"event-monitor: {error_line(error)}", err=True)
