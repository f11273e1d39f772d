"""Broker URL: why one can never work, in one sentence that never holds a password.

Connects to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..broker.configuration import (
    require_configuration,
    require_url,
    urls_of,
)
from ..broker.protocols import CeleryApp
from ..errors import SettingsError, UnavailableError
from ..redaction import MASK, password_in, shown_url
from ..text import one_line

__all__ = ["require_broker", "require_named"]

_SCHEMES = "redis://, rediss://, amqp:// or amqps://"
_MISTYPED = re.compile(r"(?P<scheme>rediss?|amqps?|sentinel|sqs):?/+(?=[^/])")  # as in redis:/host
_PORT = re.compile(r":(\d+)(?:/|$)")
_SCHEME_OF_PORT = {"6379": "redis", "6380": "rediss", "26379": "sentinel", "5671": "amqps"}
#: What brings a transport's library, by the scheme of the URL.
_PIP = {
    "azureservicebus": "kombu[azureservicebus]",
    "azurestoragequeues": "kombu[azurestoragequeues]",
    "confluentkafka": "kombu[confluentkafka]",
    "consul": "celery[consul]",
    "etcd": "python-etcd",
    "gcpubsub": "celery[gcpubsub]",
    "librabbitmq": "celery[librabbitmq]",
    "mongodb": "celery[mongodb]",
    "pgmq": "kombu[pgmq]",
    "pyro": "celery[pyro]",
    "qpid": "kombu[qpid]",
    "redis": "celery[redis]",
    "rediss": "celery[redis]",
    "sentinel": "celery[redis]",
    "SLMQ": "celery[slmq]",
    "sqla": "celery[sqlalchemy]",
    "sqlalchemy": "celery[sqlalchemy]",
    "sqs": "celery[sqs]",
    "zookeeper": "celery[zookeeper]",
}


def require_named(named: str) -> None:
    """Raise ``SettingsError`` if the URL of the command line, or one of several, is mistyped."""
    urls = named.split(";")
    for url in urls:
        require_url(url)
        _require_scheme(url, among=urls)


def require_broker(app: CeleryApp) -> None:
    """Raise ``SettingsError`` or ``UnavailableError`` if the app's broker can never be used.

    Celery takes an app's URL without a scheme for RabbitMQ's: that is a mistake only where it looks
    like Redis.
    """
    require_configuration(app)
    urls = list(urls_of(app))
    for url in urls:
        if _guess(url) in {"redis", "rediss", "sentinel"}:
            _require_scheme(url, among=urls)
    try:
        app.connection_for_read().transport  # noqa: B018  imports what the URL's scheme needs
    except Exception as error:
        scheme = _scheme(next(urls_of(app), ""))
        pip = _PIP.get(scheme)
        if pip is not None and isinstance(error, (ImportError, NameError)):
            raise UnavailableError(
                f"the transport {scheme} needs a library that is not installed "
                f'({one_line(error)}): pip install "{pip}".'
            ) from error
        raise SettingsError(
            f"the broker URL cannot be used: {one_line(error)}; it begins with {_SCHEMES}."
        ) from error


def _scheme(url: str) -> str:
    """Return the scheme of a URL, of ``sqla+sqlite://`` the first part, as kombu does."""
    return url.partition("://")[0].partition("+")[0]


def _require_scheme(url: str, *, among: Sequence[str]) -> None:
    if "://" in url:
        return
    # After a ; may stand the rest of a password that had one.
    certain = len(among) == 1 or not any(password_in(other) for other in among)
    shown = shown_url(url) if certain else MASK
    rest = _MISTYPED.sub("", shown).lstrip("/")
    secret = not certain or "@" in url
    hint = " (a ; in a password must be percent-encoded as %3B)" if secret else ""
    raise SettingsError(
        f"the broker URL {shown} has no scheme: write {_guess(url) or 'amqp'}://{rest}, "
        f"or another of {_SCHEMES}{hint}."
    )


def _guess(url: str) -> str | None:
    """Return the scheme that a URL without one was meant to have; None if nothing tells."""
    if "://" in url:
        return None
    mistyped = _MISTYPED.match(url)
    if mistyped is not None:
        return mistyped["scheme"]
    port = _PORT.search(url.rpartition("@")[2])
    return None if port is None else _SCHEME_OF_PORT.get(port[1])
