"""Django: the lines of settings.py that workers, producers and the monitor read. Pure."""

from __future__ import annotations

from ..provision.task_definition import environment
from ..settings import Settings, options
from ..settings.parsers import text_of
from .monitor import Monitor, PlatformFiles, require_printable, template

__all__ = ["django_files"]

_SECRET = frozenset({"management_url"})
_ALWAYS = frozenset({"namespace"})  # so that there is one to change


def django_files(monitor: Monitor) -> PlatformFiles:
    """Return a module of settings for a project whose Celery app has the namespace CELERY.

    Raises ``SettingsError`` for what cannot be written down.
    """
    settings = monitor.settings
    environment(settings)
    lines = [
        f'    "{option.name}": {_literal(option.name, getattr(settings, option.name))},'
        for option in options()
        if option.name not in _SECRET
        and (option.name in _ALWAYS or getattr(settings, option.name) != option.default)
    ]
    app = monitor.app or "proj"
    return PlatformFiles(
        {
            "event_monitor_settings.py": template(
                "event_monitor_settings.py", settings="\n".join(lines)
            )
        },
        (
            "put the lines into settings.py; in celery.py stands "
            'app.config_from_object("django.conf:settings", namespace="CELERY").',
            *_secret_notes(settings),
            f"restart workers and producers, then: event-monitor check -A {app}",
        ),
    )


def _literal(name: str, value: object) -> str:
    """Return the value as Python writes it; a list as the text that a flag would take."""
    plain = value if isinstance(value, (bool, int, float, str)) else text_of(value)
    require_printable(name, str(plain))
    return repr(plain)


def _secret_notes(settings: Settings) -> tuple[str, ...]:
    if not settings.management_url:
        return ()
    return (
        "management_url may hold a password: leave it to the variable "
        "EVENT_MONITOR_MANAGEMENT_URL.",
    )
