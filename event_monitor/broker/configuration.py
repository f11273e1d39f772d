"""Configuration: settings of Celery's with which a broker can never be used, said in one sentence.

Connects to nothing. What cannot be known before shows at the first attempt to connect.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import SettingsError
from ..exchange import Exchange
from ..redaction import is_parsable, mistake_in, remember_secrets, shown_url
from ..text import one_line
from .protocols import CeleryApp, Connection

__all__ = ["require_configuration", "require_url", "urls_of"]

log = logging.getLogger(__name__)

_REDIS = frozenset({"redis", "rediss", "sentinel"})
_AMQP = frozenset({"amqp", "amqps", "pyamqp"})
_KNOWN = _REDIS | _AMQP | {"sqs"}  # the URLs and options of others have rules of their own
_LIST_OF_HOSTS = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^@]*@)?[\w.:-]+(?:,[\w.:-]+)+(?:/[^@]*)?$")
_FILES = frozenset({"ca_certs", "certfile", "keyfile"})  # with Redis each begins with ssl_
_FILE_SECONDS = 2.0
_CERT_REQS = ("none", "optional", "required", *ssl.VerifyMode)
#: How kombu begins what it logs each time it makes such a connection.
_UNVERIFIED = ("Secure redis scheme specified", "Defaulting to insecure SSL")


def require_configuration(app: CeleryApp) -> None:
    """Raise ``SettingsError`` if the app's broker can never be used as it is configured.

    Warns where nobody looks whether the server is the right one. The passwords of its URLs are
    masked from then on, whoever prints them.
    """
    remember_secrets(*urls_of(app))
    for url in urls_of(app):
        require_url(url)
    _require_heartbeat(app.conf.get("broker_heartbeat"))
    if not isinstance(app.conf.get("broker_transport_options") or {}, Mapping):
        raise SettingsError("broker_transport_options is no mapping of names to values.")
    _tell_if_unverified(app)
    if _scheme(next(urls_of(app), "")) in _KNOWN:
        _require_options(_connection_of(app))


def _connection_of(app: CeleryApp) -> Connection:
    try:
        return app.connection_for_read()
    except TypeError as error:
        raise SettingsError(
            "the broker URL cannot be used: after its ? stands a name that Celery does not take "
            "there; options of the transport belong into broker_transport_options."
        ) from error
    except ValueError as error:  # its text quotes the URL
        raise SettingsError(
            "the broker URL cannot be used: host and port must be HOST or HOST:PORT, and in a "
            "password each of # / ? @ : ; [ ] must be percent-encoded."
        ) from error
    except KeyError as error:
        raise SettingsError(
            "the broker URL cannot be used: ssl_cert_reqs in it must be none, optional or required."
        ) from error


def _require_options(connection: Connection) -> None:
    _require_heartbeat(connection.heartbeat)
    _require_tls_options(connection)
    if connection.transport_cls == "sentinel":
        _require_sentinel_options(connection.transport_options)


def _require_sentinel_options(options: Mapping[str, object]) -> None:
    if not options.get("master_name"):
        raise SettingsError(
            "sentinel:// needs the name of the master: set master_name in "
            "broker_transport_options, or say --transport-option master_name=NAME."
        )
    # A flag can hold no mapping.
    if not isinstance(options.get("sentinel_kwargs"), (Mapping, type(None))):
        raise SettingsError(
            "sentinel_kwargs is not shown, as it may hold a password; it must be a mapping, such "
            'as broker_transport_options = {"sentinel_kwargs": {"password": …}} in the app, or in '
            "the file of --config."
        )


def urls_of(app: CeleryApp) -> Iterator[str]:
    """Yield the URLs that the app is configured with, one by one."""
    for key in ("broker_url", "broker_read_url", "broker_write_url"):
        value = getattr(app.conf, key, None)  # which heeds CELERY_BROKER_URL, unlike a look-up
        values = value.split(";") if isinstance(value, str) else value
        yield from (url for url in values or () if isinstance(url, str))


def require_url(url: str) -> None:
    """Raise ``SettingsError`` if one broker URL is mistyped; its password is not shown."""
    mistake = mistake_in(url)
    if _scheme(url) not in _KNOWN and (is_parsable(url) or _LIST_OF_HOSTS.match(url)):
        return  # it has rules of its own, such as lists of hosts
    database = (
        url.partition("://")[2].rpartition("@")[2].partition("?")[0].partition("/")[2].strip("/")
    )
    if mistake is None and _scheme(url) in _REDIS and database and not database.isdecimal():
        mistake = "the database, after the host, must be a number"
    if mistake is not None:
        raise SettingsError(f"the broker URL {shown_url(url)} cannot be used: {mistake}.")


def _scheme(url: str) -> str | None:
    scheme, separator, _ = url.partition("://")
    return scheme.lower() if separator else None


def _require_heartbeat(seconds: object) -> None:
    if seconds is not None and not (isinstance(seconds, int | float) and seconds >= 0):
        raise SettingsError(
            f"the broker's heartbeat is {one_line(repr(seconds))}; it must be a number of seconds, "
            "and 0 for none."
        )


def _require_tls_options(connection: Connection) -> None:
    options = connection.ssl
    if isinstance(options, Mapping):
        for key, value in options.items():
            if key.removeprefix("ssl_") in _FILES and value is not None:
                _require_file(key, value)
    if connection.transport_cls in _AMQP and not isinstance(options, (bool, Mapping, type(None))):
        raise SettingsError("broker_use_ssl must be True, False or a mapping of TLS options.")
    if connection.transport_cls not in _REDIS or not options:
        return
    if not isinstance(options, Mapping):
        raise SettingsError(
            "broker_use_ssl must be a mapping with Redis, such as {'ssl_cert_reqs': 'required'}: "
            "as it is, the connection would not be encrypted."
        )
    wrong = sorted(key for key in options if key in _FILES | {"cert_reqs"})
    if wrong:
        raise SettingsError(f"broker_use_ssl has {wrong[0]}; with Redis it is ssl_{wrong[0]}.")
    if options.get("ssl_cert_reqs", "required") not in (*_CERT_REQS, None):
        raise SettingsError("ssl_cert_reqs must be none, optional or required.")


def _require_file(key: str, value: object) -> None:
    try:  # a pipe is waited for until somebody writes to it
        Exchange(_FILE_SECONDS).run(lambda: Path(str(value)).open("rb").close())
    except (OSError, ValueError) as error:
        reason = one_line(getattr(error, "strerror", None) or error)
        raise SettingsError(
            f"{key} is {one_line(repr(value))}, which cannot be read ({reason}); "
            "give the path of a PEM file."
        ) from error


def _tell_if_unverified(app: CeleryApp) -> None:
    """Warn once, instead of kombu, which does so each time it makes a connection."""
    for name in ("kombu.connection", "kombu.utils.url"):
        logger = logging.getLogger(name)
        logger.removeFilter(_is_no_repetition)
        logger.addFilter(_is_no_repetition)
    rediss = any(url.startswith("rediss://") for url in urls_of(app))
    chosen = app.conf.get("broker_use_ssl") or any("ssl_cert_reqs" in url for url in urls_of(app))
    if rediss and not chosen:
        log.warning(
            "rediss:// does not verify the server's certificate: to have it verified, add "
            "?ssl_cert_reqs=required to the broker URL (and &ssl_ca_certs=FILE for a CA of your "
            "own), or set broker_use_ssl = {'ssl_cert_reqs': 'required'}"
        )


def _is_no_repetition(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_UNVERIFIED)
