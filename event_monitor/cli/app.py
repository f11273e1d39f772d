"""App: what a command begins with: the user's Celery app, and the settings.

Says in one sentence why an app cannot be loaded. Celery is imported only when one is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click
from click.core import ParameterSource

from ..errors import SettingsError, UnavailableError
from ..redaction import password_in, remember_secrets
from ..settings import (
    ENV_PREFIX,
    Settings,
    Source,
    conf_of,
    region_unknown_to_boto3,
    use_broker,
)
from ..text import one_line
from .broker_url import require_broker, require_named
from .celery_settings import CelerySettings, celery_settings_of, configure_from
from .failure import described, place, raised_by_celery
from .logs import log_to_stderr, show_no_headers, stay_audible
from .options import given_flags

if TYPE_CHECKING:  # every `celery` command loads this
    from ..broker.protocols import CeleryApp

__all__ = [
    "has_broker",
    "has_configuration",
    "load_app_and_settings",
    "load_named_app",
    "load_settings",
]

log = logging.getLogger(__name__)


def load_app_and_settings(
    ctx: click.Context, values: Mapping[str, object]
) -> tuple[CeleryApp, Settings]:
    """Return the app and its settings, for a command that cannot do without an app.

    ``values`` are those of the options ``watching`` and ``loglevel``. Logging comes first, so
    that warnings are seen. Raises ``SettingsError`` and ``UnavailableError``.
    """
    _log(values)
    wanted = _wanted(ctx, values)
    if not wanted.is_anything:
        raise SettingsError(
            "there is no app to watch: say -A proj (or EVENT_MONITOR_APP=proj), or name the "
            "broker with -b redis://host:6379/0 (or EVENT_MONITOR_BROKER)."
        )
    if wanted.broker:
        remember_secrets(wanted.broker)
        require_named(wanted.broker)
    _tell_if_visible(ctx)
    app = _load(wanted)
    require_broker(app)
    return app, _loaded(values, app)[0]


def has_configuration(ctx: click.Context, values: Mapping[str, object]) -> bool:
    """Return whether the command names an app or its settings, not only a broker."""
    wanted = _wanted(ctx, values)
    return bool(wanted.name or wanted.given or wanted.celery.config)


def has_broker(ctx: click.Context, values: Mapping[str, object]) -> bool:
    """Return whether the command names an app, its settings or a broker."""
    return _wanted(ctx, values).is_anything


def load_settings(
    ctx: click.Context, values: Mapping[str, object]
) -> tuple[Settings, dict[str, Source]]:
    """Return the settings, and where each came from; of an app only if one is named."""
    _log(values)
    wanted = _wanted(ctx, values)
    return _loaded(values, _load(wanted) if wanted.is_anything else None)


def load_named_app(
    ctx: click.Context, values: Mapping[str, object]
) -> tuple[CeleryApp | None, Settings]:
    """Return the settings and the project's app, for a command that needs none; None without."""
    _log(values)
    wanted = _wanted(ctx, values)
    app = _load(wanted) if wanted.is_anything else None
    return (app if wanted.name or wanted.given else None), _loaded(values, app)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Which app. ``given`` is the one that ``celery`` has loaded already."""

    name: str | None
    broker: str | None
    given: CeleryApp | None
    celery: CelerySettings

    @property
    def is_anything(self) -> bool:
        return bool(self.name or self.broker or self.given or self.celery.config)


def _loaded(
    values: Mapping[str, object], app: CeleryApp | None
) -> tuple[Settings, dict[str, Source]]:
    conf = {} if app is None else conf_of(app)
    settings, sources = Settings.load_with_sources(flags=given_flags(values), conf=conf)
    remember_secrets(settings.management_url)
    return settings, sources


def _log(values: Mapping[str, object]) -> None:
    log_to_stderr(cast("str", values["loglevel"]), cast("str", values["log_format"]))


def _tell_if_visible(ctx: click.Context) -> None:
    """Warn of a password in a flag: whoever may list processes can read it."""
    for flag, name in (("-b", "broker"), ("--management-url", "management_url")):
        for context in filter(None, (ctx, ctx.parent)):
            typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            if typed and password_in(str(context.params[name])):
                log.warning(
                    "the password in %s can be read in the list of processes: put the URL into "
                    "the variable %s%s instead",
                    flag,
                    ENV_PREFIX,
                    name.upper(),
                )


def _wanted(ctx: click.Context, values: Mapping[str, object]) -> _Wanted:
    """Return what was asked for. Raises ``SettingsError`` for what does not go together."""
    name, broker = cast("str | None", values["app"]), cast("str | None", values["broker"])
    given = None
    if isinstance(ctx.obj, dict):  # of `main`
        name, broker = name or ctx.obj["app"], broker or ctx.obj["broker"]
    elif ctx.obj is not None:  # of `celery`
        given = ctx.obj.app
    celery = celery_settings_of(values)
    if celery.config and (name or given):
        raise SettingsError(
            "--config is for a broker without an app: an app brings its own configuration."
        )
    return _Wanted(name=name, broker=broker, given=given, celery=celery)


def _load(wanted: _Wanted) -> CeleryApp:
    """Return the app that ``celery -A name -b broker`` would take.

    Without a name it is the given one; without that, an app without tasks.
    """
    if wanted.broker:
        use_broker(wanted.broker)
    if wanted.name:
        app = _configured(_find(wanted.name))
    elif wanted.given is not None:
        app = _configured(wanted.given)
    else:
        from celery import Celery

        app = Celery("event_monitor", broker=wanted.broker, set_as_current=False)
        if wanted.celery.config:
            configure_from(app, wanted.celery.config)
            app = _configured(app)
        _tell_region(app)
    wanted.celery.apply(app)
    stay_audible()
    show_no_headers()
    return app


def _tell_region(app: CeleryApp) -> None:
    """Tell kombu's SQS the region of AWS_REGION, unless it knows one; boto3 does not read that."""
    options = app.conf.get("broker_transport_options") or {}
    region = region_unknown_to_boto3()
    if region and "region" not in options and str(app.conf.get("broker_url")).startswith("sqs:"):
        app.conf.update({"broker_transport_options": {**options, "region": region}})


def _find(name: str) -> CeleryApp:
    """Return the app of that name, looked for in the current directory first, as Celery does."""
    from celery import Celery
    from celery.app.utils import find_app

    module = name.partition(":")[0]
    try:
        found = find_app(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if ":" in missing:  # Celery's last attempt, after it found no such variable
            raise UnavailableError(
                f"cannot load the app {name!r}: module {module!r} has no such variable."
            ) from error
        if module == missing or module.startswith(f"{missing}."):
            raise UnavailableError(
                f"cannot load the app {name!r}: there is no module {missing!r} in {Path.cwd()} or "
                "among the installed packages."
            ) from error
        raise UnavailableError(
            f"cannot load the app {name!r}: {place(error)} imports {missing!r}, which is not "
            "installed; run this where the project's code runs, or use -b instead of -A."
        ) from error
    except AttributeError as error:
        if raised_by_celery(error):
            raise UnavailableError(
                f"cannot load the app {name!r}: there is no Celery app in it ({one_line(error)})."
            ) from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:  # whatever the user's module does when imported
        raise _broken(name, error) from error
    if not isinstance(found, Celery):
        raise UnavailableError(
            f"cannot load the app {name!r}: it is of type {found.__class__.__name__}, not a Celery "
            f"app; name the variable that holds the app, such as -A {module}:celery_app."
        )
    return cast("CeleryApp", found)


def _configured(app: CeleryApp) -> CeleryApp:
    """Make the app read its configuration now, where a mistake in it can be reported."""
    try:
        app.conf.get("broker_url")
    except Exception as error:
        raise UnavailableError(
            f"the configuration of the app {app.main or 'given'!r} cannot be loaded: "
            f"{described(error)}."
        ) from error
    return app


def _broken(name: str, error: BaseException) -> UnavailableError:
    return UnavailableError(
        f"cannot load the app {name!r}: {place(error)} raises {described(error)}."
    )
