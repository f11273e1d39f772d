"""Celery settings: what an app is given on the command line, beside its broker.

Without an app nobody else knows key prefixes, exchange names and the like.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import cast

import click

from ..broker.protocols import CeleryApp
from ..errors import UnavailableError
from ..over_sqs.configuration import EventQueue, event_queue_of, remember_event_queue
from .failure import described, place

__all__ = ["CelerySettings", "celery_settings_of", "configure_from", "parse_transport_options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CelerySettings:
    """What was given. ``config`` is a file or a module with Celery's settings.

    ``event_queue`` is the SQS queue that workers with ``send_events_over_sqs`` fill.
    """

    config: str | None = None
    transport_options: Mapping[str, object] = field(default_factory=dict)
    event_exchange: str | None = None
    event_queue_prefix: str | None = None
    event_queue: str | None = None

    def apply(self, app: CeleryApp) -> None:
        """Let these win over what the app is configured with. Raises ``SettingsError``."""
        if self.transport_options:
            before = app.conf.get("broker_transport_options") or {}
            app.conf.update({"broker_transport_options": {**before, **self.transport_options}})
        for key in ("event_exchange", "event_queue_prefix"):
            value = getattr(self, key)
            if value is not None:
                app.conf.update({key: value})
        if self.event_queue:
            known = event_queue_of(app) or EventQueue()
            remember_event_queue(app, replace(known, name=self.event_queue))


def celery_settings_of(values: Mapping[str, object]) -> CelerySettings:
    """Return what was given, out of a command's keyword arguments."""
    return CelerySettings(
        config=cast("str | None", values["config"]),
        transport_options=cast("Mapping[str, object]", values["transport_options"]),
        event_exchange=cast("str | None", values["event_exchange"]),
        event_queue_prefix=cast("str | None", values["event_queue_prefix"]),
        event_queue=cast("str | None", values["event_queue"]),
    )


def parse_transport_options(
    ctx: click.Context, param: click.Parameter, given: tuple[str, ...]
) -> dict[str, object]:
    """Return ``key=value`` pairs as a mapping; a value that is not JSON is text."""
    options: dict[str, object] = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            # The value is not shown: it may be a password.
            raise click.BadParameter("it must be KEY=VALUE.", ctx=ctx, param=param)
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def configure_from(app: CeleryApp, config: str) -> None:
    """Let the app read its configuration from a Python file or module.

    Raises ``UnavailableError`` if there is none of that name, or it breaks when imported.
    """
    is_file = config.endswith(".py") or "/" in config
    if is_file and not Path(config).is_file():
        raise UnavailableError(f"cannot load --config {config!r}: there is no such file.")
    try:
        app.config_from_object(_module_of(Path(config)) if is_file else _import(config))
    except ModuleNotFoundError as error:
        if not is_file and error.name == config.partition(".")[0]:
            raise UnavailableError(
                f"cannot load --config {config!r}: there is no such module in {Path.cwd()} or "
                "among the installed packages."
            ) from error
        raise _broken(config, error) from error
    except (Exception, SystemExit) as error:  # whatever the user's file does
        raise _broken(config, error) from error


def _module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("event_monitor_config", path)
    if spec is None or spec.loader is None:
        raise ImportError("it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _import(name: str) -> ModuleType:
    from celery.utils.imports import import_from_cwd

    return cast("ModuleType", import_from_cwd(name))


def _broken(config: str, error: BaseException) -> UnavailableError:
    return UnavailableError(
        f"cannot load --config {config!r}: {place(error)} raises {described(error)}."
    )
