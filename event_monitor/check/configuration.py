"""Configuration: the settings of Celery's that advice is about, of an app or as a worker answers.

Connects to nothing. URLs are compared here and never kept: they may hold passwords.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..broker.configuration import urls_of
from ..broker.protocols import CeleryApp

__all__ = ["Configuration", "app_configuration", "configuration_of"]

_VISIBILITY_TIMEOUT = 3_600.0  # seconds; kombu's own for Redis, where none is set
_REDIS = {"redis", "rediss"}  # Sentinel's URLs name the watchers, not the server
_PORT = "6379"
_HERE = {"", "127.0.0.1", "[::1]"}  # other names of localhost
_KEEP_NOTHING = ("disabled", "rpc")  # how such a result_backend begins
_NEVER = {None, 0, timedelta(0), "0:00:00"}  # the last as a worker writes the one before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What is known of one configuration. None is unknown, or this Celery has no such setting.

    ``visibility_timeout``, ``soft_shutdown``: seconds. ``shares_database``: whether results are
    kept in the database of Redis that holds the queues. ``results_expire``: None where none are
    kept, too. ``sends_sent``: whether who publishes a task sends a task-sent event.
    """

    visibility_timeout: float | None = None
    shares_database: bool | None = None
    results_expire: bool | None = None
    soft_shutdown: float | None = None
    sends_sent: bool | None = None


def app_configuration(app: CeleryApp) -> Configuration:
    """Return what the app's own settings say, which its workers may have been started without."""
    settings: dict[str, object] = {
        key: app.conf.get(key)
        for key in ("result_expires", "task_send_sent_event", "worker_soft_shutdown_timeout")
    }
    settings["broker_url"] = next(urls_of(app), None)
    settings["broker_transport_options"] = app.connection_for_read().transport_options
    settings["result_backend"] = getattr(app.conf, "result_backend", None)  # heeds the environment
    return configuration_of(settings)


def configuration_of(settings: object) -> Configuration:
    """Return what is known by a mapping of Celery's settings, such as a reply to ``conf``."""
    if not isinstance(settings, Mapping):
        return Configuration()
    sends_sent = settings.get("task_send_sent_event")
    return Configuration(
        visibility_timeout=_visibility_timeout(settings.get("broker_transport_options")),
        shares_database=_shares_database(settings),
        results_expire=_results_expire(settings),
        soft_shutdown=_seconds(settings.get("worker_soft_shutdown_timeout")),
        sends_sent=sends_sent if isinstance(sends_sent, bool) else None,
    )


def _visibility_timeout(options: object) -> float | None:
    if not isinstance(options, Mapping):
        return None
    return _seconds(options.get("visibility_timeout", _VISIBILITY_TIMEOUT))


def _shares_database(settings: Mapping[str, object]) -> bool | None:
    broker, backend = map(_database, (settings.get("broker_url"), settings.get("result_backend")))
    return None if broker is None or backend is None else broker == backend


def _database(url: object) -> tuple[str, str, str] | None:
    """Return host, port and database of a Redis URL; None if it is none, or one of several."""
    if not isinstance(url, str) or ";" in url:
        return None
    scheme, separator, rest = url.partition("://")
    place, _, _ = rest.rpartition("@")[2].partition("?")
    server, _, database = place.partition("/")
    host, colon, port = server.rpartition(":")
    if not colon or server.endswith("]"):  # of an IPv6 address
        host, port = server, ""
    database = database.strip("/") or "0"
    if scheme not in _REDIS or not separator or not database.isdecimal():
        return None
    return "localhost" if host in _HERE else host.lower(), port or _PORT, database


def _results_expire(settings: Mapping[str, object]) -> bool | None:
    backend = settings.get("result_backend")
    if not isinstance(backend, str) or not backend or backend.startswith(_KEEP_NOTHING):
        return None
    if "result_expires" not in settings:
        return None
    expires = settings["result_expires"]
    return not (isinstance(expires, int | float | str | timedelta | None) and expires in _NEVER)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if value >= 0 else None
