"""Options: those that commands share; the flags of settings are made from the settings' fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..settings import Option, did_you_mean, options
from .celery_settings import parse_transport_options
from .logs import FORMATS, LEVELS

__all__ = [
    "HELP_FLAGS",
    "Choice",
    "Command",
    "formats",
    "given_flags",
    "loglevel",
    "number_of",
    "setting_flags",
    "watching",
]

Decorated = TypeVar("Decorated", bound=Callable[..., object])

_SETTINGS = frozenset(option.name for option in options())
_COLUMN = 28  # characters for a flag before its help begins on the next line


#: What every command may end with, and what some do besides.
_EXIT_CODES = {
    0: "done",
    2: "a setting or flag is wrong",
    3: "the app, or something else that is needed, cannot be had",
}


HELP_FLAGS = {"help_option_names": ["-h", "--help"]}


class Command(click.Command):
    """A command whose --help has examples and exit codes, and only a few of the settings.

    ``settings`` are those that its --help explains; ``None`` means all. ``exit_codes`` go before
    those that all commands have, and an empty text means that it never ends with that one.
    """

    def __init__(
        self,
        *args: Any,
        examples: tuple[str, ...] = (),
        settings: tuple[str, ...] | None = (),
        exit_codes: Mapping[int, str] = MappingProxyType({}),
        **attributes: Any,
    ) -> None:
        super().__init__(*args, **{"context_settings": HELP_FLAGS, **attributes})
        self.examples = examples
        self.shown_settings = _SETTINGS if settings is None else frozenset(settings)
        self.exit_codes = {**_EXIT_CODES, **exit_codes}

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what it does, then the examples as they are typed."""
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes last."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes"):
            codes = sorted(self.exit_codes.items())
            formatter.write_dl([(str(code), said) for code, said in codes if said])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write two sections: Options, then Settings, and where the rest of these is explained."""
        own: list[tuple[str, str]] = []
        settings: list[tuple[str, str]] = []
        others = 0
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if param.name in _SETTINGS - self.shown_settings:
                others += 1
            elif record is not None:
                (settings if param.name in _SETTINGS else own).append(record)
        with formatter.section("Options"):
            formatter.write_dl(own, col_max=_COLUMN)
        if settings:
            title = "Settings (each also EVENT_MONITOR_<NAME>, or in app.conf.event_monitor)"
            with formatter.section(title):
                formatter.write_dl(settings, col_max=_COLUMN)
        if others:
            formatter.write_paragraph()
            # Not wrapped: commands have to stay whole.
            count = f"{others} more" if settings else str(others)
            formatter.write(
                f"{count} settings are flags, too: `event-monitor settings --help` has them.\n"
            )


if TYPE_CHECKING:
    _ChoiceOfText = click.Choice[str]
else:  # generic only since click 8.2
    _ChoiceOfText = click.Choice


class Choice(_ChoiceOfText):
    """One of several words; of a misspelt one it says which may be meant."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        """Return what is wrong with it."""
        said: str = super().get_invalid_choice_message(value, ctx)
        return f"{said.removesuffix('.')}{did_you_mean(str(value), self.choices)}."


def watching(command: Decorated) -> Decorated:
    """Add the options of a command that looks at a cluster: app, broker, and every setting."""
    command = setting_flags(command)
    for add in reversed(_CLUSTER):
        command = add(command)
    return command


def setting_flags(command: Decorated) -> Decorated:
    """Add the flag of every setting."""
    for option in reversed(options()):
        command = _flag(option)(command)
    return command


#: Which app, which broker, and what of its configuration.
_CLUSTER: tuple[Callable[[Decorated], Decorated], ...] = (
    click.option(
        *("-A", "--app"),
        metavar="MODULE",
        allow_from_autoenv=False,
        help="The Celery app, as in celery -A.  [env: EVENT_MONITOR_APP, CELERY_APP]",
    ),
    click.option(
        *("-b", "--broker"),
        metavar="URL",
        allow_from_autoenv=False,
        help="URL of the broker; wins over the app's. One with a password belongs into the "
        "variable: process lists show flags.  [env: EVENT_MONITOR_BROKER]",
    ),
    click.option(
        "--config",
        metavar="FILE",
        allow_from_autoenv=False,
        help="Celery's settings where there is no app: a Python file or module.",
    ),
    click.option(
        *("--transport-option", "transport_options"),
        metavar="KEY=VALUE",
        multiple=True,
        callback=parse_transport_options,
        allow_from_autoenv=False,
        help="One of broker_transport_options, as JSON or text; may be repeated.",
    ),
    click.option(
        "--event-exchange",
        metavar="NAME",
        allow_from_autoenv=False,
        help="Exchange of the events, if not the app's event_exchange, or celeryev.",
    ),
    click.option(
        "--event-queue-prefix",
        metavar="NAME",
        allow_from_autoenv=False,
        help="Beginning of the event queue's name, if not the app's event_queue_prefix.",
    ),
    click.option(
        "--event-queue",
        metavar="NAME",
        envvar="EVENT_MONITOR_EVENT_QUEUE",
        help="SQS queue of send_events_over_sqs, or its URL, if not the app's.  "
        "[env: EVENT_MONITOR_EVENT_QUEUE]",
    ),
)


def given_flags(values: Mapping[str, object]) -> dict[str, object]:
    """Return the settings that were given, out of a command's keyword arguments."""
    return {key: value for key, value in values.items() if key in _SETTINGS and value is not None}


def loglevel(default: str) -> Callable[[Decorated], Decorated]:
    """Return the options -l, with that default, and --log-format."""
    level = click.option(
        *("-l", "--loglevel"),
        type=Choice(LEVELS, case_sensitive=False),
        metavar="LEVEL",
        default=default,
        show_default=True,
        envvar="EVENT_MONITOR_LOG_LEVEL",
        help=f"Least severe log line shown on stderr: {', '.join(LEVELS)}.",
    )
    form = click.option(
        "--log-format",
        type=Choice(FORMATS),
        default=FORMATS[0],
        show_default=True,
        envvar="EVENT_MONITOR_LOG_FORMAT",
        help="Log lines as text, or as JSON with the facts as fields.",
    )
    return lambda command: level(form(command))


def formats(*names: str) -> Callable[[Decorated], Decorated]:
    """Return the option --format, which arrives as ``form``; the first name is its default."""
    choice = Choice(names)
    return click.option(
        *("--format", "form"), type=choice, default=names[0], show_default=True, help="Output."
    )


def number_of(
    name: str, *, most: int, default: int, help_text: str
) -> Callable[[Decorated], Decorated]:
    """Return an option that is a number of things."""
    return click.option(
        name,
        type=click.IntRange(0, most),
        default=default,
        show_default=True,
        metavar="N",
        help=help_text,
    )


def _flag(option: Option) -> Callable[[Decorated], Decorated]:
    """Return the flag of a setting. Its value is None unless it was given."""
    shown = option.default_text.replace(",", ", ")
    help_text = f"{option.help}  [default: {shown}]" if shown else option.help
    if isinstance(option.default, bool):
        names = f"{option.flag}/--no-{option.flag[2:]}"
        return click.option(
            *(names, option.name), default=None, help=help_text, allow_from_autoenv=False
        )
    # Text: the settings parse it like every other source, so a mistake reads the same everywhere.
    return click.option(
        *(option.flag, option.name),
        metavar=option.placeholder,
        help=help_text,
        allow_from_autoenv=False,
    )
