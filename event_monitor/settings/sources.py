"""Sources: where a setting's value comes from, and which source wins. Reads the environment."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ..errors import SettingsError
from .parsers import URL, Kind, NotAllowedError, suggest

__all__ = ["ENV_PREFIX", "Source", "conf_of", "read", "read_one", "use_broker"]

log = logging.getLogger(__name__)

ENV_PREFIX = "EVENT_MONITOR_"
CLI_ONLY = frozenset({"APP", "BROKER", "LOG_LEVEL"})  # flags of the command line, not settings

Source = Literal["default", "app.conf", "environment", "flag"]

# Kubernetes sets these in every container for a service called event-monitor.
_KUBERNETES = re.compile(r"(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


def conf_of(app: Any) -> Mapping[str, Any]:
    """The settings a Celery app carries: ``app.conf.event_monitor``, or an empty mapping.

    With ``config_from_object(..., namespace="CELERY")``, as in Django, that is the variable
    ``CELERY_EVENT_MONITOR``; with a module of upper-case names it is ``EVENT_MONITOR``.
    """
    for key in ("event_monitor", "EVENT_MONITOR", "CELERY_EVENT_MONITOR"):
        found = app.conf.get(key)
        if found is not None:
            return found  # type: ignore[no-any-return]  # `load` refuses what is no mapping
    return {}


def use_broker(url: str) -> None:
    """Make every Celery app of this process use that broker, to read and to write.

    ``celery -b`` does it the same way. These variables win over any configuration.
    """
    for variable in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"):
        os.environ[variable] = url


def read(
    kinds: Mapping[str, Kind],
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    conf: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Source]]:
    """The settings that some source has, and where each setting comes from."""
    chosen: dict[str, Any] = {}
    sources: dict[str, Source] = dict.fromkeys(kinds, "default")
    layers: tuple[tuple[Source, Iterator[tuple[str, Any]]], ...] = (
        ("environment", _region_from(kinds, os.environ if environ is None else environ)),
        ("app.conf", _from_conf(kinds, {} if conf is None else conf)),
        ("environment", _from_environ(kinds, os.environ if environ is None else environ)),
        ("flag", _from_flags(kinds, flags or {})),
    )
    for source, layer in layers:
        for key, value in layer:
            chosen[key], sources[key] = value, source
    return chosen, sources


def _from_conf(kinds: Mapping[str, Kind], conf: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if not isinstance(conf, Mapping):
        raise SettingsError(
            f"app.conf.event_monitor is {conf!r}; it must be a mapping of settings, "
            'such as {"namespace": "Celery"}.'
        )
    for key, raw in conf.items():
        if key not in kinds:
            raise SettingsError(
                f"app.conf.event_monitor has no setting {key!r}{suggest(str(key), kinds)}; "
                "`event-monitor settings` lists them."
            )
        yield key, read_one(kinds, key, raw, where=f"app.conf.event_monitor[{key!r}]")


def _region_from(
    kinds: Mapping[str, Kind], environ: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """boto3 reads AWS_DEFAULT_REGION only; ECS and the other SDKs set AWS_REGION."""
    if environ.get("AWS_REGION") and not environ.get("AWS_DEFAULT_REGION"):
        yield "region", read_one(kinds, "region", environ["AWS_REGION"], where="AWS_REGION")


def _from_environ(
    kinds: Mapping[str, Kind], environ: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX):
            continue
        suffix, raw = variable[len(ENV_PREFIX) :], environ[variable].strip()
        if suffix.lower() in kinds and suffix.isupper():
            if raw:  # VARIABLE= in an env file or a template means: not set
                yield suffix.lower(), read_one(kinds, suffix.lower(), raw, where=variable)
        elif suffix not in CLI_ONLY and not _KUBERNETES.fullmatch(suffix):
            known = [ENV_PREFIX + name.upper() for name in kinds]
            log.warning("%s is no setting%s; ignored", variable, suggest(variable, known))


def _from_flags(kinds: Mapping[str, Kind], flags: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, raw in flags.items():
        if key not in kinds:
            raise SettingsError(f"there is no setting {key!r}{suggest(key, kinds)}.")
        yield key, read_one(kinds, key, raw, where="--" + key.replace("_", "-"))


def read_one(kinds: Mapping[str, Kind], key: str, raw: Any, *, where: str) -> Any:
    """The value of one setting; ``SettingsError`` naming place, value and what is allowed."""
    try:
        return kinds[key].parse(raw)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        detail = f": {error}" if isinstance(error, NotAllowedError) else ""
        shown = "not shown, as it may hold a password" if kinds[key] is URL else repr(raw)
        raise SettingsError(
            f"{where} is {shown}; it must be {kinds[key].allowed}{detail}."
        ) from None
