"""Container: what Docker's and Kubernetes' files share. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil

from ..errors import SettingsError
from ..settings import Settings
from ..text import printable
from .monitor import Monitor

__all__ = [
    "container_notes",
    "exec_form",
    "quoted",
    "require_mountable",
    "stop_seconds",
    "yaml_map",
]

_STOP_MARGIN_SECONDS = 10  # to disconnect and to exit, after the drain


def quoted(text: str) -> str:
    """Return printable text as a string of YAML, which is one of JSON too."""
    return json.dumps(text, ensure_ascii=False)


def exec_form(command: tuple[str, ...]) -> str:
    """Return a command as a list: no shell reads it, and signals reach it."""
    return json.dumps(command, ensure_ascii=False)


def yaml_map(variables: Mapping[str, str], *, indent: int) -> str:
    """Return lines of name and value; a ``$`` is doubled, or Compose would look for a variable."""
    return "\n".join(
        f"{' ' * indent}{name}: {quoted(value.replace('$', '$$'))}"
        for name, value in variables.items()
    )


def stop_seconds(settings: Settings) -> int:
    """Return how long a graceful shutdown may take."""
    return ceil(settings.drain_seconds) + _STOP_MARGIN_SECONDS


def require_mountable(settings: Settings) -> None:
    """Raise ``SettingsError`` if no volume can be mounted at ``state_dir``."""
    if ":" in settings.state_dir or "$" in settings.state_dir:
        raise SettingsError(
            f"state_dir is {printable(settings.state_dir)!r}; no volume can be mounted at a path "
            "with a : or a $."
        )


def container_notes(monitor: Monitor) -> tuple[str, ...]:
    """Return a sentence for each setting that does not do in a container what it does elsewhere."""
    notes = []
    scheme, _, where = monitor.settings.http_auth.partition(":")
    if scheme in ("basic", "bearer") and not where.startswith("env:"):
        notes.append(f"http_auth reads {where}: mount it, readable for the container's user.")
    if monitor.settings.http and monitor.port is None:
        notes.append(
            f"http = {monitor.settings.http} is reached from within the container only; "
            ":PORT serves others."
        )
    return tuple(notes)
