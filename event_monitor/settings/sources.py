"""Sources: where each setting comes from, and which source wins. The only user of the environment.

Precedence: flags > ``EVENT_MONITOR_*`` > ``app.conf.event_monitor`` (a mapping) > ``AWS_REGION``,
for the region only > defaults.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from typing import Literal, Protocol, cast

from ..errors import SettingsError
from .did_you_mean import did_you_mean
from .parsers import NotAllowedError, Parser

__all__ = [
    "ENV_PREFIX",
    "Parsers",
    "Source",
    "conf_of",
    "parse",
    "read",
    "use_broker",
    "wants_colours",
]

log = logging.getLogger(__name__)

ENV_PREFIX = "EVENT_MONITOR_"
_USER_INFORMATION = re.compile(r":.*@|@.*:\d", re.DOTALL)  # user:password@host, token@host:80
CLI_ONLY = frozenset(
    {"APP", "BROKER", "EVENT_QUEUE", "LOG_FORMAT", "LOG_LEVEL"}
)  # flags of the command line, not settings

Source = Literal["default", "app.conf", "environment", "flag"]
Parsers = Mapping[str, Parser[object]]  # by the setting's name
Layer = Iterator[tuple[str, object]]  # names and values of the settings that one source has

# Kubernetes sets these in every container for a service called event-monitor.
_KUBERNETES = re.compile(r"(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


def read(
    parsers: Parsers,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    conf: Mapping[str, object] | None = None,
    defaults: Mapping[str, object] | None = None,
) -> tuple[dict[str, object], dict[str, Source]]:
    """Return the settings that some source has, and the source of every setting.

    Every source is parsed whole, also where a later one wins, so that no mistake stays unseen.
    Raises ``SettingsError``.
    """
    environ = os.environ if environ is None else environ
    layers: tuple[tuple[Source, Layer], ...] = (  # the last one wins
        ("default", _from_flags(parsers, defaults or {})),
        ("environment", _region_from(parsers, environ)),
        ("app.conf", _from_conf(parsers, {} if conf is None else conf)),
        ("environment", _from_environ(parsers, environ)),
        ("flag", _from_flags(parsers, flags or {})),
    )
    values: dict[str, object] = {}
    sources: dict[str, Source] = dict.fromkeys(parsers, "default")
    for source, layer in layers:
        for key, value in layer:
            values[key], sources[key] = value, source
    return values, sources


def parse(parsers: Parsers, key: str, *, raw: object, where: str) -> object:
    """Return the value of one setting; ``SettingsError`` with place, value and what is allowed."""
    parser = parsers[key]
    try:
        return parser.parse(raw)
    except (ValueError, TypeError, OverflowError) as error:
        is_secret = parser.shown is not None or _has_user_information(raw)
        shown = "not shown, as it may hold a password" if is_secret else repr(raw)
        is_told = isinstance(error, NotAllowedError) and not is_secret  # it may quote the value
        detail = f": {error}" if is_told else ""
        raise SettingsError(f"{where} is {shown}; it must be {parser.allowed}{detail}.") from None


def _has_user_information(raw: object) -> bool:
    """Return whether it looks like an address with a user or a password before its host."""
    texts = raw if isinstance(raw, (list, tuple)) else (raw,)
    return any(isinstance(text, str) and _USER_INFORMATION.search(text) for text in texts)


# -- one function per source ----------------------------------------------------------------------


def _region_from(parsers: Parsers, environ: Mapping[str, str]) -> Layer:
    """Read AWS_REGION, which ECS and the other SDKs set; boto3 knows AWS_DEFAULT_REGION only."""
    region = region_unknown_to_boto3(environ)
    if region:
        yield "region", parse(parsers, "region", raw=region, where="AWS_REGION")


def _from_conf(parsers: Parsers, conf: Mapping[str, object]) -> Layer:
    if not isinstance(conf, Mapping):
        raise SettingsError(
            f"app.conf.event_monitor is {conf!r}; it must be a mapping of settings, "
            'such as {"namespace": "Celery"}.'
        )
    for key, raw in conf.items():
        if key not in parsers:
            raise SettingsError(
                f"app.conf.event_monitor has no setting {key!r}{did_you_mean(str(key), parsers)}; "
                "`event-monitor settings` lists them."
            )
        yield key, parse(parsers, key, raw=raw, where=f"app.conf.event_monitor[{key!r}]")


def _from_environ(parsers: Parsers, environ: Mapping[str, str]) -> Layer:
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX):
            continue
        suffix, raw = variable[len(ENV_PREFIX) :], environ[variable].strip()
        key = suffix.lower()
        if key in parsers and suffix.isupper():
            if raw:  # VARIABLE= in an env file or a template means: not set
                yield key, parse(parsers, key, raw=raw, where=variable)
        elif suffix not in CLI_ONLY and not _KUBERNETES.fullmatch(suffix):
            known = [ENV_PREFIX + name.upper() for name in parsers]
            log.warning("%s is no setting%s; ignored", variable, did_you_mean(variable, known))


def _from_flags(parsers: Parsers, flags: Mapping[str, object]) -> Layer:
    for key, raw in flags.items():
        if key not in parsers:
            raise SettingsError(f"there is no setting {key!r}{did_you_mean(key, parsers)}.")
        yield key, parse(parsers, key, raw=raw, where="--" + key.replace("_", "-"))


# -- the app and the environment ------------------------------------------------------------------


class _Conf(Protocol):
    def get(self, key: str) -> object:
        """Return a setting of Celery's or the user's own; None if there is none."""
        ...


class ConfiguredApp(Protocol):
    """The part of a Celery app that holds its configuration."""

    @property
    def conf(self) -> _Conf:
        """Return the configuration."""
        ...


def conf_of(app: ConfiguredApp) -> Mapping[str, object]:
    """Return the settings that an app carries, ``app.conf.event_monitor``, or an empty mapping.

    With ``config_from_object(..., namespace="CELERY")``, as in Django, that is the variable
    ``CELERY_EVENT_MONITOR``; with a module of upper-case names it is ``EVENT_MONITOR``.
    """
    for key in ("event_monitor", "EVENT_MONITOR", "CELERY_EVENT_MONITOR"):
        found = app.conf.get(key)
        if found is not None:
            return cast("Mapping[str, object]", found)  # `read` refuses what is no mapping
    return {}


def use_broker(url: str) -> None:
    """Make every Celery app of this process use that broker, to read and to write.

    ``celery -b`` does it the same way. These variables win over any configuration.
    """
    for variable in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        os.environ[variable] = url


def region_unknown_to_boto3(environ: Mapping[str, str] = os.environ) -> str:
    """Return AWS_REGION if it is all that says a region; boto3, and so kombu, does not read it."""
    return "" if environ.get("AWS_DEFAULT_REGION") else environ.get("AWS_REGION", "")


def wants_colours() -> bool:
    """Return whether a terminal may be shown colours: not with NO_COLOR, nor if it is dumb."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
