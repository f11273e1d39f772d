"""Flags: options the commands share; those that are settings come from the settings' fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from ..settings import Option, options
from .logs import LEVELS

__all__ = ["Command", "formats", "given_flags", "loglevel", "number_of", "watching"]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_SETTINGS = frozenset(one.name for one in options())
_COLUMN = 28  # characters for a flag before its help begins on the next line


class Command(click.Command):
    """A command whose --help has examples, and lists the settings apart from its own options."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it does, then the examples as they are typed."""
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write two sections: Options, then Settings."""
        own: list[tuple[str, str]] = []
        settings: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                (settings if param.name in _SETTINGS else own).append(record)
        with formatter.section("Options"):
            formatter.write_dl(own, col_max=_COLUMN)
        if settings:
            title = "Settings (each also EVENT_MONITOR_<NAME>, or in app.conf.event_monitor)"
            with formatter.section(title):
                formatter.write_dl(settings, col_max=_COLUMN)


def watching(command: Decorated) -> Decorated:
    """Options of a command that looks at a cluster: app, broker, and every setting."""
    for one in reversed(options()):
        command = _flag(one)(command)
    broker = click.option(
        *("-b", "--broker"),
        metavar="URL",
        allow_from_autoenv=False,
        help="URL of the broker; wins over the app's.  [env: EVENT_MONITOR_BROKER]",
    )
    app = click.option(
        *("-A", "--app"),
        metavar="MODULE",
        allow_from_autoenv=False,
        help="The Celery app, as in celery -A.  [env: EVENT_MONITOR_APP, CELERY_APP]",
    )
    return app(broker(command))


def given_flags(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a command's keyword arguments, the settings that were given."""
    return {key: value for key, value in values.items() if key in _SETTINGS and value is not None}


def loglevel(default: str) -> Callable[[Decorated], Decorated]:
    """The option -l."""
    return click.option(
        *("-l", "--loglevel"),
        type=click.Choice(LEVELS, case_sensitive=False),
        metavar="LEVEL",
        default=default,
        show_default=True,
        envvar="EVENT_MONITOR_LOG_LEVEL",
        help=f"Least severe log line shown on stderr: {', '.join(LEVELS)}.",
    )


def formats(*names: str) -> Callable[[Decorated], Decorated]:
    """The option --format, which arrives as ``form``; the first name is its default."""
    choice = click.Choice(names)
    return click.option(
        *("--format", "form"), type=choice, default=names[0], show_default=True, help="Output."
    )


def number_of(
    name: str, *, most: int, default: int, help_text: str
) -> Callable[[Decorated], Decorated]:
    """An option that counts something."""
    kind = click.IntRange(0, most)
    return click.option(
        name, type=kind, default=default, show_default=True, metavar="N", help=help_text
    )


def _flag(one: Option) -> Callable[[Any], Any]:
    shown = one.default_text.replace(",", ", ")
    help_text = f"{one.help}  [default: {shown}]" if shown else one.help
    if isinstance(one.default, bool):
        names = f"{one.flag}/--no-{one.flag[2:]}"
        return click.option(names, one.name, default=None, help=help_text, allow_from_autoenv=False)
    # Text: the settings parse it like every other source, so a mistake reads the same everywhere.
    return click.option(
        *(one.flag, one.name), metavar=one.placeholder, help=help_text, allow_from_autoenv=False
    )
