"""App: finds the user's Celery app, and says in one sentence why it cannot be had."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from ..errors import SettingsError, UnavailableError
from ..settings import use_broker

__all__ = ["load_app", "require_broker"]


def load_app(name: str | None, *, broker: str | None = None, given: Any = None) -> Any:
    """The app that ``celery -A name -b broker`` would take; without a name, one without tasks.

    Looks in the current directory first, as Celery does. ``given``: an app that is there already,
    taken unless there is a name. Raises ``SettingsError`` without any of the three, and
    ``UnavailableError`` when the app or its configuration cannot be loaded.
    """
    if not name and not broker and given is None:
        raise SettingsError(
            "there is no app to watch: say -A proj (or EVENT_MONITOR_APP=proj), or name the "
            "broker with -b redis://host:6379/0 (or EVENT_MONITOR_BROKER)."
        )
    if broker:
        use_broker(broker)
    if name:
        return _configured(_find(name))
    if given is not None:
        return _configured(given)
    from celery import Celery

    return Celery("event_monitor", broker=broker, set_as_current=False)


def _find(name: str) -> Any:
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
        if _is_ours(error):
            raise UnavailableError(
                f"cannot load the app {name!r}: there is no Celery app in it ({_one_line(error)})."
            ) from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:  # whatever the user's module does when imported
        raise _broken(name, error) from error
    if not isinstance(found, Celery):
        raise UnavailableError(
            f"cannot load the app {name!r}: it is of type {found.__class__.__name__}, not a Celery "
            f"app; name the variable that holds the app, such as -A {module}:celery_app."
        )
    return found


def require_broker(app: Any) -> None:
    """Raise ``UnavailableError`` if the app's broker URL can never work. Connects to nothing."""
    try:
        app.connection_for_read().transport  # noqa: B018  imports what the URL's scheme needs
    except Exception as error:
        raise UnavailableError(
            f"the broker URL cannot be used: {_one_line(error)}; it begins with redis://, "
            "rediss://, amqp:// or amqps://."
        ) from error


def _configured(app: Any) -> Any:
    """Make the app read its configuration now, where a mistake in it can be told."""
    try:
        app.conf.get("broker_url")
    except Exception as error:
        raise UnavailableError(
            f"the configuration of the app {app.main or 'given'!r} cannot be loaded: "
            f"{type(error).__name__}: {_one_line(error)}."
        ) from error
    return app


def _broken(name: str, error: BaseException) -> UnavailableError:
    return UnavailableError(
        f"cannot load the app {name!r}: {_place(error)} raises {type(error).__name__}: "
        f"{_one_line(error)}."
    )


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    every = traceback.extract_tb(error.__traceback__)
    return [one for one in every if "importlib" not in one.filename]


def _is_ours(error: BaseException) -> bool:
    """Whether Celery raised it, looking for the app, and not the user's code when imported."""
    parts = Path(_frames(error)[-1].filename).parts
    return bool({"celery", "kombu"} & set(parts[-4:-1]))


def _place(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno},"
    last = _frames(error)[-1]
    return f"{last.filename}, line {last.lineno},"


def _one_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, KeyError):
        text = text.strip("'")
    return " ".join(text.split()).rstrip(".") or "no message"
