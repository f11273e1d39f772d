"""Loading: what every command that looks at a cluster begins with."""

from __future__ import annotations

from typing import Any

import click

from ..settings import Settings, Source, conf_of
from .logs import log_to_stderr, stay_audible
from .options import given_flags

__all__ = ["load"]


def load(
    ctx: click.Context, values: dict[str, Any], *, app_needed: bool = True
) -> tuple[Any, Settings, dict[str, Source]]:
    """Logging first, so that warnings are seen; then the app, then the settings."""
    log_to_stderr(values["loglevel"])
    name, broker, given = values["app"], values["broker"], None
    if isinstance(ctx.obj, dict):  # of `main`
        name, broker = name or ctx.obj["app"], broker or ctx.obj["broker"]
    elif ctx.obj is not None:  # of `celery`
        given = ctx.obj.app
    app = None
    if app_needed or name or broker or given:
        from .app import load_app, require_broker

        app = load_app(name, broker=broker, given=given)
        stay_audible()
        if app_needed:
            require_broker(app)
    settings, sources = Settings.load_with_sources(
        flags=given_flags(values), conf=None if app is None else conf_of(app)
    )
    return app, settings, sources
