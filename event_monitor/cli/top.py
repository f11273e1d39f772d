"""Command: ``event-monitor top``. Every ``celery`` command imports this: nothing slow."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from ..errors import SettingsError, UnavailableError
from ..settings import Settings, address_of, credentials_of
from .app import has_broker, load_app_and_settings, load_settings
from .options import Command, loglevel, watching

if TYPE_CHECKING:  # it needs an extra
    from ..live import Source

__all__ = ["top"]

_USUAL = "127.0.0.1:9808"  # where the page is in all our examples
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  nothing is bound


@click.command(
    cls=Command,
    examples=(
        "event-monitor top",
        "event-monitor top --url https://celery.example.com --http-auth bearer:env:TOKEN",
        "event-monitor top --url http://10.0.3.7:9808 --http-auth basic:/run/secrets/page",
        "event-monitor top -A proj",
    ),
    settings=(
        *("http", "http_auth", "http_prefix", "queue_length_limits", "queue_age_limits"),
        *("only_tasks", "only_queues", "only_workers"),
    ),
    exit_codes={3: "no monitor answers, and no broker that is named"},
)
@click.option(
    "--url",
    metavar="URL",
    help=f"The running monitor.  [default: by --http, or http://{_USUAL}]",
)
@click.option(
    "--refresh",
    type=click.FloatRange(0.5, 3_600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause between two looks.",
)
@watching
@loglevel("ERROR")
@click.pass_context
def top(ctx: click.Context, /, *, url: str | None, refresh: float, **values: object) -> None:
    """Watch the cluster on a full screen: what fails, runs, waits and works.

    It asks the API of the running monitor (setting http; failures and the last hour need its
    history); where that wants a password or a token, give the same http_auth. Where no monitor
    answers and an app or a broker is named, it asks broker and workers as `status` does, and says
    what is not known then. Press ? for the keys. It only reads.
    """
    source, has_app = _source(ctx, values, url)
    try:
        first = source.look()
    except UnavailableError as error:
        if has_app:
            raise
        raise UnavailableError(
            f"{str(error).rstrip('.')}; say --url, or -A proj or -b URL to ask broker and workers."
        ) from error
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise SettingsError(
            "top needs a terminal for input, output and errors: `event-monitor status` prints once."
        )
    from ..live import Top

    logging.disable()  # a line on stderr would be somewhere on the screen
    Top(source, first, seconds=refresh).run()


def _source(
    ctx: click.Context, values: Mapping[str, object], url: str | None
) -> tuple[Source, bool]:
    app = None
    if has_broker(ctx, values):
        app, settings = load_app_and_settings(ctx, values)
    else:
        settings, _ = load_settings(ctx, values)
    where = _default_url(settings) if url is None else _checked(url)
    credentials = credentials_of(settings.http_auth)
    try:
        from ..live import Broker, Either, Monitor
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise UnavailableError(
            f"top needs {missing}: pip install 'celery-event-monitor[top]'."
        ) from error
    monitor = Monitor(where, credentials=credentials)
    if app is None:
        return monitor, False
    from ..broker.connections import shown
    from ..status.ask import take_report

    broker = shown(app.connection_for_read())
    return Either(monitor, Broker(broker, lambda: take_report(app, settings), settings)), True


def _default_url(settings: Settings) -> str:
    host, port = address_of(settings.http or _USUAL)
    host = _EVERYWHERE.get(host, host)
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}{settings.http_prefix}"


def _checked(url: str) -> str:
    """Return the URL. Raises ``SettingsError`` for what cannot be one, without showing it."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right or parts.query or parts.fragment or not url.isprintable() or " " in url:
        raise SettingsError(
            "--url is not shown, as it may hold a password; it must be a URL of a monitor, such as "
            f"http://{_USUAL}."
        )
    if parts.username or parts.password:
        raise SettingsError(
            "--url has a user or a password in it, which process lists show: put user:password "
            "into a file or a variable, and name that with --http-auth basic:FILE or "
            "basic:env:NAME."
        )
    return url
