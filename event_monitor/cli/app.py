"""App: what a command begins with: the user's Celery app, and the settings.

Says in one sentence why an app cannot be loaded. Celery is imported only when one is.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from ..errors import SettingsError, UnavailableError
from ..settings import Settings, Source, conf_of, use_broker
from ..text import one_line
from .logs import log_to_stderr, stay_audible
from .options import given_flags

if TYPE_CHECKING:  # every `celery` command loads this
    from ..broker.protocols import CeleryApp

__all__ = ["load_app_and_settings", "load_settings"]


def load_app_and_settings(
    ctx: click.Context, values: Mapping[str, object]
) -> tuple[CeleryApp, Settings]:
    """Return the app and its settings, for a command that cannot do without an app.

    ``values`` are those of the options ``watching`` and ``loglevel``. Logging comes first, so
    that warnings are seen. Raises ``SettingsError`` and ``UnavailableError``.
    """
    _log(values)
    name, broker, given = _wanted(ctx, values)
    if not name and not broker and given is None:
        raise SettingsError(
            "there is no app to watch: say -A proj (or EVENT_MONITOR_APP=proj), or name the "
            "broker with -b redis://host:6379/0 (or EVENT_MONITOR_BROKER)."
        )
    app = _load(name, broker=broker, given=given)
    _require_broker(app)
    return app, Settings.load(flags=given_flags(values), conf=conf_of(app))


def load_settings(
    ctx: click.Context, values: Mapping[str, object]
) -> tuple[Settings, dict[str, Source]]:
    """Return the settings, and where each came from; of an app only if one is named."""
    _log(values)
    name, broker, given = _wanted(ctx, values)
    conf: Mapping[str, object] = {}
    if name or broker or given:
        conf = conf_of(_load(name, broker=broker, given=given))
    return Settings.load_with_sources(flags=given_flags(values), conf=conf)


def _log(values: Mapping[str, object]) -> None:
    log_to_stderr(cast("str", values["loglevel"]))


def _wanted(
    ctx: click.Context, values: Mapping[str, object]
) -> tuple[str | None, str | None, CeleryApp | None]:
    """Return the app's name, the broker's URL, and the app that ``celery`` has loaded already."""
    name, broker = cast("str | None", values["app"]), cast("str | None", values["broker"])
    if isinstance(ctx.obj, dict):  # of `main`
        return name or ctx.obj["app"], broker or ctx.obj["broker"], None
    return name, broker, None if ctx.obj is None else ctx.obj.app  # of `celery`


def _load(name: str | None, *, broker: str | None, given: CeleryApp | None) -> CeleryApp:
    """Return the app that ``celery -A name -b broker`` would take.

    Without a name it is the given one; without that, an app without tasks.
    """
    if broker:
        use_broker(broker)
    if name:
        app = _configured(_find(name))
    elif given is not None:
        app = _configured(given)
    else:
        from celery import Celery

        app = Celery("event_monitor", broker=broker, set_as_current=False)
    stay_audible()
    return app


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
            f"cannot load the app {name!r}: {_place(error)} imports {missing!r}, which is not "
            "installed; run this where the project's code runs, or use -b instead of -A."
        ) from error
    except AttributeError as error:
        if _raised_by_celery(error):
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


def _require_broker(app: CeleryApp) -> None:
    """Raise ``UnavailableError`` if the app's broker URL can never work. Connects to nothing."""
    try:
        app.connection_for_read().transport  # noqa: B018  imports what the URL's scheme needs
    except Exception as error:
        raise UnavailableError(
            f"the broker URL cannot be used: {one_line(error)}; it begins with redis://, "
            "rediss://, amqp:// or amqps://."
        ) from error


def _configured(app: CeleryApp) -> CeleryApp:
    """Make the app read its configuration now, where a mistake in it can be reported."""
    try:
        app.conf.get("broker_url")
    except Exception as error:
        raise UnavailableError(
            f"the configuration of the app {app.main or 'given'!r} cannot be loaded: "
            f"{_described(error)}."
        ) from error
    return app


def _broken(name: str, error: BaseException) -> UnavailableError:
    return UnavailableError(
        f"cannot load the app {name!r}: {_place(error)} raises {_described(error)}."
    )


def _described(error: BaseException) -> str:
    """Return the class of an error and what it says, as the last line of a traceback has it."""
    name, text = type(error).__name__, one_line(error)
    return name if text == name else f"{name}: {text}"


def _raised_by_celery(error: BaseException) -> bool:
    """Return whether Celery raised it, looking for the app, and not the user's module."""
    folders = Path(_frames(error)[-1].filename).parts[-4:-1]
    return bool({"celery", "kombu"} & set(folders))


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno},"
    last = _frames(error)[-1]
    return f"{last.filename}, line {last.lineno},"


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return where it came through, without the import system and frozen modules such as ``os``."""
    frames = traceback.extract_tb(error.__traceback__)
    return [
        frame
        for frame in frames
        if "importlib" not in frame.filename and not frame.filename.startswith("<frozen ")
    ]
